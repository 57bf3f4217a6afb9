package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/suggest"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// itemKeys are the keys of an item of registry-auth: where it is for, how it logs in, what else
// it sets.
var itemKeys = slices.Concat([]string{"registry", "scope"}, verbatimKeys, []string{
	"ecr", "ecr-tag-mutability", "ecr-tag-exclusions", "anonymous", "insecure", "public", "tags-matching", "required",
})

// verbatimKeys are those whose value must be all that stands there: YAML drops parts of a text
// without a word. White space around it does not count.
var verbatimKeys = credentials.Keys()

// parseItems reads registry-auth. Messages name line and column, never a value. Passwords
// are learned by learn before anything is said, those of wrong items too.
func (in *inputs) parseItems(learn func(user string, s redact.Text)) []credentials.Item {
	text := in.get("registry-auth")
	list := &itemList{yamlText: newYAMLText(in.where("registry-auth"), text, in.wholeSecret(), &in.bad),
		workflow: in.workflow, learn: learn}
	for _, n := range list.list(usererror.InvalidAuth, text, "- registry: ghcr.io") {
		if item, ok := list.item(n); ok {
			list.items = append(list.items, item)
		}
	}
	return list.items
}

// wholeSecret is the remedy for whatever YAML makes of a secret. In a workflow a JSON
// string is a YAML string, whatever is in it.
func (in *inputs) wholeSecret() string {
	if in.workflow {
		return "Write the secret as password: ${{ toJSON(secrets.KEY) }}, which carries any text whole."
	}
	return `Name a variable that holds the secret, password-env: NAME, or write it in double quotes, ` +
		`with \" for a quote and \\ for a backslash.`
}

type itemList struct {
	yamlText
	workflow bool
	learn    func(user string, s redact.Text)
	items    []credentials.Item
	seen     []credentials.Item // wrong ones, too
}

// entry is the value of a key, with the key's node to tell where it stands.
type entry struct {
	key, value *yaml.Node
	text       string // "" for null, and for a value that was refused
}

func (l *itemList) item(n *yaml.Node) (credentials.Item, bool) {
	before := len(*l.bad)
	if !l.plain(usererror.InvalidAuth, n) {
		return credentials.Item{}, false
	}
	if n.Kind != yaml.MappingNode {
		l.wrong(usererror.InvalidAuth, n, "this is not a registry item",
			"Write keys and values: - registry: ghcr.io, and below it username and password.")
		return credentials.Item{}, false
	}
	l.learnPasswords(n)
	entries := map[string]entry{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		l.entry(n.Content[i], n.Content[i+1], entries)
	}
	item := credentials.Item{Line: n.Line, ECR: "auto"}
	l.scope(&item, entries)
	l.credentials(&item, entries)
	whole := len(*l.bad) == before // with a key or the host misread, more complaints would be false
	l.options(&item, entries)
	if whole && item.ECR != "" { // without, how it logs in is not known
		for _, e := range item.Check() {
			l.wrong(usererror.InvalidAuth, entries[e.Key].key, e.What,
				"An item has one way to log in, with all its keys: docs/registries shows one for each registry.")
		}
	}
	l.once(&item, n)
	return item, len(*l.bad) == before
}

// learnPasswords makes passwords known before any message is made that could repeat one.
func (l *itemList) learnPasswords(n *yaml.Node) {
	user := ""
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "username" {
			user = n.Content[i+1].Value
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Value == "password" && value.Kind == yaml.ScalarNode && !isNull(value) {
			l.learn(user, redact.New(withoutLineEnds(value.Value)))
		}
	}
}

// entry checks one key and its value and adds it.
func (l *itemList) entry(key, value *yaml.Node, entries map[string]entry) {
	name := key.Value
	if key.Kind != yaml.ScalarNode || !slices.Contains(itemKeys, name) {
		// A name that is near none of ours may be a line of a secret.
		if near := suggest.Nearest(name, itemKeys); near != "" && key.Kind == yaml.ScalarNode {
			l.wrong(usererror.UnknownInput, key, fmt.Sprintf("there is no key %q", name), "Did you mean "+near+"?")
		} else {
			l.wrong(usererror.UnknownInput, key, "there is no such key",
				"Known are "+strings.Join(itemKeys, ", ")+". If this is part of a secret: "+l.whole)
		}
		return
	}
	if !l.plain(usererror.InvalidAuth, key) || !l.plain(usererror.InvalidAuth, value) {
		entries[name] = entry{key: key, value: value} // it is there, so that nobody misses it
		return
	}
	if first, ok := entries[name]; ok {
		l.wrong(usererror.InvalidAuth, key, fmt.Sprintf("%s is there already, in line %d", name, first.key.Line),
			"Leave one of them. If the second is part of a secret: "+l.whole)
		return
	}
	entries[name] = entry{key: key, value: value}
	if value.Kind != yaml.ScalarNode && (name != "ecr-tag-exclusions" || !isTextList(value)) {
		l.wrong(usererror.InvalidAuth, value, "the value of "+name+" is not text", l.whole)
		return
	}
	if slices.Contains(verbatimKeys, name) && !l.unchanged(key, value) {
		l.wrong(usererror.InvalidAuth, value,
			"YAML would change the value of "+name+
				" without a word: part of it reads as a comment or goes on in the next line",
			l.whole)
		return
	}
	if name == "password" && l.cutShort(key, value) {
		l.wrong(usererror.InvalidAuth, value, "the comment in the line below could be the second line of the secret",
			"Put an empty line in front of the comment. If it is part of the secret: "+l.whole)
		return
	}
	if !isNull(value) {
		entries[name] = entry{key: key, value: value, text: value.Value}
	}
}

// unchanged reports whether a value is, to its last character, what stands there: YAML
// drops what follows " #" and joins lines. Quotes are taken for meant, but not with a
// comment behind them: a secret can begin with a quote.
func (l *itemList) unchanged(key, value *yaml.Node) bool {
	if value.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		return endsLine(l.behindQuotes(value.Line, value.Column))
	}
	if value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return value.Value != "" // a password "|-" would read as an empty block
	}
	rest := l.rest(value.Line, value.Column)
	if value.Value == "" {
		// Nothing stands there, not even null; what does is a comment or a sign of
		// YAML's, such as !, and may be a password.
		_, rest, _ = strings.Cut(l.rest(key.Line, key.Column), ":")
	}
	after, ok := strings.CutPrefix(rest, value.Value)
	if !ok {
		return false
	}
	return endsLine(after)
}

// endsLine reports whether what stands behind a value is nothing, or belongs to the list
// around it and is no comment.
func endsLine(after string) bool {
	after = strings.TrimSpace(after)
	return after == "" ||
		strings.ContainsAny(after[:1], ",}]") && !strings.HasPrefix(strings.TrimLeft(after, ",}] \t"), "#")
}

// behindQuotes returns what stands in the line in which a value in quotes ends, behind it.
func (l *itemList) behindQuotes(line, column int) string {
	text := []rune(l.rest(line, column))
	if len(text) == 0 {
		return ""
	}
	quote, i := text[0], 1
	for {
		for ; i < len(text); i++ {
			switch {
			case quote == '"' && text[i] == '\\', text[i] == quote && quote == '\'' && i+1 < len(text) &&
				text[i+1] == quote:
				i++ // with what it escapes
			case text[i] == quote:
				return string(text[i+1:])
			}
		}
		if line++; line > len(l.lines) {
			return ""
		}
		text, i = l.lines[line-1], 0
	}
}

// cutShort reports whether the line below a password without quotes is a comment that
// stands further left than its key: the second line of a secret would.
func (l *itemList) cutShort(key, value *yaml.Node) bool {
	if value.Style != 0 || value.Value == "" || isNull(value) || value.Line >= len(l.lines) {
		return false
	}
	below := l.lines[value.Line]
	indent := 0
	for indent < len(below) && (below[indent] == ' ' || below[indent] == '\t') {
		indent++
	}
	return indent+1 < key.Column && indent < len(below) && below[indent] == '#'
}

// scope reads which repositories the item is for. docker/login-action's scope is a path
// with actions behind an @.
func (l *itemList) scope(item *credentials.Item, entries map[string]entry) {
	item.Registry = imageref.DockerHub
	if e, ok := entries["registry"]; ok {
		if strings.TrimSpace(e.text) == "" {
			item.Registry, item.Skip = "", "registry is empty"
			return
		}
		host, path, err := imageref.ParseScope(e.text)
		var unset *imageref.NotConfigured
		switch {
		case errors.As(err, &unset):
			item.Registry, item.Skip = "", unset.Reason
			return
		case err != nil:
			item.Registry = "" // nothing more can be said of it
			l.wrong(usererror.InvalidAuth, e.value, err.Error(),
				"Write HOST or HOST/PATH, such as ghcr.io or docker.io/acme.")
			return
		}
		item.Registry, item.Path = host, path
	}
	e, ok := entries["scope"]
	if !ok {
		return
	}
	path, _, _ := strings.Cut(e.text, "@")
	path = strings.Trim(strings.TrimSpace(path), "/")
	if path == "" {
		return
	}
	if item.Path != "" {
		l.wrong(usererror.InvalidAuth, e.key, "scope and a path in registry are the same thing", "Leave one of them.")
		return
	}
	_, parsed, err := imageref.ParseScope(item.Registry + "/" + path)
	if err != nil {
		l.wrong(usererror.InvalidAuth, e.value, err.Error(),
			"Write a repository or what it begins with, such as acme/app.")
		return
	}
	item.Path = parsed
}

func (l *itemList) credentials(item *credentials.Item, entries map[string]entry) {
	for name, e := range entries {
		if to := item.Value(name); to != nil {
			*to = credentials.Value{Set: true, Text: strings.TrimSpace(e.text)}
		}
	}
	if e, ok := entries["password"]; ok {
		item.PasswordSet = true
		if strings.TrimSpace(e.text) != "" {
			item.Password = redact.New(withoutLineEnds(e.text))
		}
	}
	if e, ok := entries["password-env"]; ok && l.workflow {
		l.wrong(usererror.InvalidAuth, e.key,
			"password-env is for command lines: a step's own environment is not one of its inputs", l.whole)
	}
}

// withoutLineEnds drops the line ends behind a secret: files and password managers add them.
func withoutLineEnds(secret string) string { return strings.TrimRight(secret, "\r\n") }

func (l *itemList) options(item *credentials.Item, entries map[string]entry) {
	if e, ok := entries["ecr"]; ok && e.text != "" {
		item.ECR = strings.ToLower(strings.TrimSpace(e.text))
		if item.ECR != "auto" && !isBool(item.ECR) {
			l.wrong(usererror.InvalidAuth, e.value, "ecr is neither auto, true nor false", "Write one of them.")
			item.ECR = ""
		}
	}
	if b, ok := l.boolean("anonymous", entries); ok {
		item.Anonymous = b
	}
	if b, ok := l.boolean("insecure", entries); ok {
		item.Insecure = b
	}
	if b, ok := l.boolean("public", entries); ok {
		item.Public = b
	}
	if b, ok := l.boolean("required", entries); ok {
		item.Required = &b
	}
	l.tagMutability(item, entries)
	if e, ok := entries["tags-matching"]; ok && e.text != "" {
		r, err := anchored(e.text)
		if err != nil {
			l.wrong(usererror.InvalidAuth, e.value, "tags-matching: "+err.Error(), writeRE2)
		}
		item.TagsMatching, item.TagsWritten = r, e.text
	}
}

// tagMutability reads what a repository that is created gets. The filters are separated by
// commas or spaces, or a list.
func (l *itemList) tagMutability(item *credentials.Item, entries map[string]entry) {
	if e, ok := entries["ecr-tag-mutability"]; ok {
		item.ECRTagMutability = strings.ToUpper(strings.TrimSpace(e.text))
	}
	e, ok := entries["ecr-tag-exclusions"]
	if !ok {
		return
	}
	texts := []string{e.text}
	for _, n := range e.value.Content {
		texts = append(texts, n.Value)
	}
	for _, text := range texts {
		item.ECRTagExclusions = append(item.ECRTagExclusions,
			strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })...)
	}
}

func (l *itemList) boolean(name string, entries map[string]entry) (value, ok bool) {
	e, ok := entries[name]
	if !ok || strings.TrimSpace(e.text) == "" {
		return false, false
	}
	text := strings.TrimSpace(e.text)
	if !isBool(text) {
		l.wrong(usererror.InvalidAuth, e.value, name+" is neither true nor false", "Write one of them.")
		return false, false
	}
	return strings.EqualFold(text, "true"), true
}

// once refuses a second item for the same repositories: which one would apply?
func (l *itemList) once(item *credentials.Item, n *yaml.Node) {
	if item.Registry == "" {
		return
	}
	defer func() { l.seen = append(l.seen, *item) }()
	for _, other := range l.seen {
		if other.Registry == item.Registry && other.Path == item.Path {
			l.wrong(usererror.InvalidAuth, n,
				fmt.Sprintf("%s has an item already, in line %d",
					strings.TrimSuffix(item.Registry+"/"+item.Path, "/"), other.Line),
				"Leave one of them, or give them different paths, such as "+item.Registry+"/acme.")
			return
		}
	}
}
