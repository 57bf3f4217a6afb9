// Command multi-registry-push publishes one built image to every registry
// that the workflow has credentials for.
package main

func main() {}
