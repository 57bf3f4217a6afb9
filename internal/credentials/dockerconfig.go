package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// dockerConfig is what Docker's and Podman's configuration says about logins.
//
// https://github.com/docker/cli/blob/master/docs/reference/commandline/login.md
// containers-auth.json(5), which adds entries for single repositories.
type dockerConfig struct {
	origin  string
	auths   map[string]json.RawMessage // by canonical host or host/path
	helpers map[string]string          // by canonical host or host/path
	store   string
}

func parseDockerConfig(origin string, data []byte) (*dockerConfig, error) {
	var file struct {
		Auths       map[string]json.RawMessage `json:"auths"`
		CredHelpers map[string]string          `json:"credHelpers"`
		CredsStore  string                     `json:"credsStore"`
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return &dockerConfig{origin: origin}, nil
	}
	if err := json.Unmarshal(data, &file); err != nil {
		// The error of encoding/json can quote what it read.
		return nil, errors.New("it is not Docker's configuration in JSON")
	}
	c := &dockerConfig{
		origin: origin, auths: map[string]json.RawMessage{}, helpers: map[string]string{}, store: file.CredsStore,
	}
	for key, value := range file.Auths {
		put(c.auths, key, value)
	}
	for key, value := range file.CredHelpers {
		put(c.helpers, key, value)
	}
	return c, nil
}

// put stores value under the canonical form of a key. A key that is already
// spelled canonically wins over one that only means the same.
func put[V any](m map[string]V, key string, value V) {
	name := configKey(key)
	if _, there := m[name]; !there || name == key {
		m[name] = value
	}
}

// configKey returns the canonical form of a key of auths: HOST, or HOST/PATH for
// a single repository or namespace. Behind a scheme a path means nothing, nor do v1 and
// v2, which are the registry's API.
func configKey(key string) string {
	scheme := strings.Contains(key, "://")
	host, path, _ := strings.Cut(imageref.CanonicalHost(key), "/")
	host = imageref.CanonicalHost(host)
	if scheme || path == "" || path == "v1" || path == "v2" {
		return host
	}
	return host + "/" + path
}

// found is a credential of Docker's configuration.
type found struct {
	config authn.AuthConfig
	origin string
	key    string
}

// lookup finds the credential of repo: the entry of the longest path, a credential
// helper before what stands in the file.
func (c *dockerConfig) lookup(
	ctx context.Context, r *Resolver, repo imageref.Repository,
) (f found, ok bool, warnings []string) {
	for key := repo.String(); ; {
		if helper := c.helper(key, repo.Host); helper != "" {
			config, err := r.runHelper(ctx, helper, key)
			switch {
			case errors.Is(err, errNoCredentials):
			case err != nil:
				warnings = append(warnings, "docker-credential-"+helper+", which "+c.origin+" names for "+key+", "+
					r.clean(err.Error())+"; the next credential applies")
			default:
				return found{config: config, key: key,
					origin: "docker-credential-" + helper + " from " + c.origin}, true, warnings
			}
		}
		if raw, there := c.auths[key]; there {
			config, err := decodeAuth(raw)
			if err != nil {
				warnings = append(warnings,
					"the entry for "+key+" in "+c.origin+" cannot be read; the next credential applies")
			} else if usable(config) {
				return found{config: config, key: key, origin: c.origin}, true, warnings
			}
		}
		if key == repo.Host {
			return found{}, false, warnings
		}
		key = key[:strings.LastIndexByte(key, '/')]
	}
}

// helper returns the credential helper for a key; credsStore stands in for hosts that
// have none of their own.
func (c *dockerConfig) helper(key, host string) string {
	if h := c.helpers[key]; h != "" {
		return h
	}
	if key == host {
		return c.store
	}
	return ""
}

func decodeAuth(raw json.RawMessage) (authn.AuthConfig, error) {
	var config authn.AuthConfig
	err := json.Unmarshal(raw, &config)
	config.Auth = ""
	// Docker once padded passwords with NUL.
	config.Password = strings.TrimRight(strings.Trim(config.Password, "\x00"), "\r\n")
	config.IdentityToken = strings.TrimRight(config.IdentityToken, "\r\n")
	config.RegistryToken = strings.TrimRight(config.RegistryToken, "\r\n")
	return config, err
}

// usable reports whether an entry holds a credential: Docker leaves empty ones behind
// for hosts whose credentials are in a store.
func usable(c authn.AuthConfig) bool {
	return c.IdentityToken != "" || c.RegistryToken != "" || c.Username != "" && c.Password != ""
}

// readDockerConfigs reads what there is, in the order in which it applies.
func (r *Resolver) readDockerConfigs() (configs []*dockerConfig, warnings []Warning) {
	add := func(origin string, data []byte) {
		c, err := parseDockerConfig(origin, data)
		if err != nil {
			warnings = append(warnings, Warning{Origin: origin, Text: err.Error() + "; the next credentials apply"})
			return
		}
		configs = append(configs, c)
	}
	seen := map[string]bool{}
	file := func(origin, path string, wanted bool) {
		path = r.o.MapPath(path)
		if seen[path] {
			return
		}
		seen[path] = true
		data, err := r.o.ReadFile(path)
		switch {
		case err == nil:
			add(origin, data)
		case errors.Is(err, fs.ErrNotExist) && !wanted:
		default:
			warnings = append(warnings, Warning{Origin: origin, Text: bareFile(err) + "; the next credentials apply"})
		}
	}
	if text := r.o.Getenv("DOCKER_AUTH_CONFIG"); text != "" {
		add("DOCKER_AUTH_CONFIG", []byte(text))
	}
	if path := r.o.Getenv("REGISTRY_AUTH_FILE"); path != "" {
		file("REGISTRY_AUTH_FILE", path, true)
	}
	if dir := r.o.Getenv("DOCKER_CONFIG"); dir != "" {
		file("$DOCKER_CONFIG/config.json", filepath.Join(dir, "config.json"), false)
	}
	if home := r.o.Getenv("HOME"); home != "" {
		file("$HOME/.docker/config.json", filepath.Join(home, ".docker", "config.json"), false)
	}
	return configs, warnings
}

func bareFile(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error() + " (" + p.Path + ")"
	}
	return err.Error()
}

// helperAnswer is what a helper said about a server.
type helperAnswer struct {
	config authn.AuthConfig
	err    error
}

// runHelper asks a credential helper once for each server.
func (r *Resolver) runHelper(ctx context.Context, name, key string) (authn.AuthConfig, error) {
	server := key
	if server == imageref.DockerHub {
		server = "https://index.docker.io/v1/" // the name under which Docker stores it
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := strconv.Quote(name) + server
	if a, known := r.helped[id]; known {
		return a.config, a.err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	user, password, err := r.o.Helper(ctx, name, server)
	a := helperAnswer{err: err}
	if err == nil {
		secret := r.known(user, password).Reveal()
		a.config = authn.AuthConfig{Username: user, Password: secret}
		if user == "<token>" { // docker-credential-helpers' word for an identity token
			a.config = authn.AuthConfig{IdentityToken: secret}
		}
		if !usable(a.config) {
			a = helperAnswer{err: errNoCredentials}
		}
	}
	r.helped[id] = a
	return a.config, a.err
}

// learn tells the redactor the secrets of a credential.
func (r *Resolver) learn(c authn.AuthConfig) {
	r.o.Redactor.Learn(c.Username, redact.New(c.Password))
	r.o.Redactor.Learn("", redact.New(c.IdentityToken))
	r.o.Redactor.Learn("", redact.New(c.RegistryToken))
}
