// Package test is the root of the nested module of tests with heavy dependencies.
package test
