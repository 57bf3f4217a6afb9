// Package image is the content graph of an image: manifests, the blobs they point at, what
// refers to them, and the order in which a registry takes them. It reads nothing itself;
// package source makes graphs, package publish copies them.
package image
