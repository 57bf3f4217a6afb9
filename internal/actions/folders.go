package actions

import (
	"path/filepath"
	"strings"
)

// The folders of the host that a container action sees, as it sees them.
const (
	containerWorkspace = "/github/workspace"
	containerTemp      = "/github/runner_temp"
)

// hostedWork is where GitHub's own machines keep workspaces.
const hostedWork = "/home/runner/work"

// Folders returns whether this process is a container action, and then which folders of
// the host are which of ours: the runner mounts the workspace and its temporary folder
// elsewhere. Both are without a trailing slash. exists reports whether a path is there.
func Folders(environ []string, exists func(path string) bool) (container bool, folders map[string]string) {
	vars := Variables(environ)
	if vars["GITHUB_ACTIONS"] != "true" || !exists(containerWorkspace) {
		return false, nil
	}
	// A job container's view of the two folders (actions/runner, ContainerInfo).
	folders = map[string]string{"/__w/_temp": containerTemp}
	if name := repositoryName(vars["GITHUB_REPOSITORY"]); name != "" {
		folders["/__w/"+name+"/"+name] = containerWorkspace
		folders[filepath.Join(hostedWork, name, name)] = containerWorkspace
	}
	folders[filepath.Join(hostedWork, "_temp")] = containerTemp
	// RUNNER_WORKSPACE is the parent of the workspace, in the host's view; the runner
	// names the workspace like it, and puts its temporary folder beside it.
	if parent := clean(vars["RUNNER_WORKSPACE"]); parent != "" {
		name := filepath.Base(parent)
		folders[filepath.Join(parent, name)] = containerWorkspace
		folders["/__w/"+name+"/"+name] = containerWorkspace
		folders[filepath.Join(filepath.Dir(parent), "_temp")] = containerTemp
	}
	for name, ours := range map[string]string{"GITHUB_WORKSPACE": containerWorkspace, "RUNNER_TEMP": containerTemp} {
		if host := clean(vars[name]); host != "" && host != ours {
			folders[host] = ours
		}
	}
	return true, folders
}

// Seen returns the folders of the host that this process sees, if it is a container of a
// workflow: GitHub's runner mounts two where Folders says; act and the runners of Gitea and
// Forgejo, which are made from it, mount the workspace alone, where the host has it. exists
// reports whether a path is there.
func Seen(environ []string, exists func(path string) bool) []string {
	vars := Variables(environ)
	workspace := clean(vars["GITHUB_WORKSPACE"])
	switch {
	case vars["GITHUB_ACTIONS"] != "true":
		return nil
	case exists(containerWorkspace):
		return []string{containerWorkspace, containerTemp}
	case workspace != "" && exists(workspace) && Contained(environ, exists):
		return []string{workspace}
	}
	return nil
}

// Contained reports whether this process is in a container, by what Docker, Podman and
// Kubernetes leave in theirs. exists reports whether a path is there.
func Contained(environ []string, exists func(path string) bool) bool {
	return exists("/.dockerenv") || exists("/run/.containerenv") || Variables(environ)["KUBERNETES_SERVICE_HOST"] != ""
}

func clean(path string) string {
	if !filepath.IsAbs(path) {
		return ""
	}
	return filepath.Clean(path)
}

func repositoryName(ownerAndName string) string {
	_, name, ok := strings.Cut(ownerAndName, "/")
	if !ok || strings.Contains(name, "/") {
		return ""
	}
	return name
}
