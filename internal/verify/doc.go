// Package verify compares what registries serve with what results say was published. It
// only asks.
package verify
