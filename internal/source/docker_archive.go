package source

import "context"

func openDockerArchive(ctx context.Context, t tree, pick string, o Options) (*Image, error) {
	return nil, unsupported("", "docker archives")
}
