package main

import (
	"fmt"
	"io"
	"strings"
)

// tags returns what docker/metadata-action would put out for the registries.
func tags(registries []*server, unset string) string {
	var b strings.Builder
	for _, tag := range []string{"1.0.0", "latest"} {
		for _, s := range registries {
			b.WriteString(s.image(tag) + "\n")
		}
		b.WriteString(unset + "/acme/app:" + tag + "\n")
	}
	return b.String()
}

// items returns the input registry-auth, with the secrets filled in as the runner does.
func items(registries []*server, unset string) string {
	var b strings.Builder
	for _, s := range registries {
		fmt.Fprintf(&b, "- registry: %s\n  username: %s\n  password: %q\n", s.host, s.user, s.password)
	}
	fmt.Fprintf(&b, "- registry: %s\n  username: \n  password: null\n", unset)
	return b.String()
}

// showStep prints the step of a workflow that all this amounts to.
func showStep(out io.Writer, registries []*server, unset string) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	p("- uses: multi-registry-push/multi-registry-push@v1")
	p("  with:")
	p("    source: ./image.tar")
	p("    tags: |")
	for line := range strings.Lines(tags(registries, unset)) {
		p("      %s", strings.TrimSpace(line))
	}
	p("    registry-auth: |")
	for _, s := range registries {
		p("      - registry: %s", s.host)
		p("        username: %s", s.user)
		p("        password: ${{ toJSON(secrets.REGISTRY_%s) }}", strings.ToUpper(s.name))
	}
	p("      - registry: %s", unset)
	p("        username: ${{ vars.DOCKERHUB_USER }}               # unset in this repository")
	p("        password: ${{ toJSON(secrets.DOCKERHUB_TOKEN) }}   # unset, too")
}
