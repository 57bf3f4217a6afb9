package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/jsondoc"
)

const (
	engineSocket = "/var/run/docker.sock"
	// enginePatience is how long a question to the engine may take. An export may
	// take any time: the engine gathers the image before it sends the first byte.
	enginePatience = time.Minute
	engineDial     = 10 * time.Second
)

// NewDocker reads where the engine is from the environment, as Docker's own tools do.
func NewDocker(getenv func(string) string, paths Paths) Docker {
	d := Docker{Host: getenv("DOCKER_HOST"), TLSVerify: getenv("DOCKER_TLS_VERIFY") != "",
		CertPath: paths.Map(getenv("DOCKER_CERT_PATH"))}
	if d.TLSVerify && d.CertPath == "" {
		if d.CertPath = paths.Map(getenv("DOCKER_CONFIG")); d.CertPath == "" {
			d.CertPath = filepath.Join(getenv("HOME"), ".docker")
		}
	}
	if socket, ok := strings.CutPrefix(d.Host, "unix://"); ok {
		d.Host = "unix://" + paths.Map(socket)
	}
	return d
}

// engine is a Docker engine, or what speaks its API (Podman does). The paths carry no
// version: the engine then answers in its own.
type engine struct {
	http  *http.Client
	base  url.URL
	where string // as people write it
}

// newEngine sends nothing.
func newEngine(d Docker) (*engine, error) {
	host := d.Host
	if host == "" {
		host = "unix://" + engineSocket
	}
	scheme, address, ok := strings.Cut(host, "://")
	if !ok {
		return nil, wrong(EngineUnnamed, "DOCKER_HOST is %q, which names no engine", short(host))
	}
	dialer := &net.Dialer{Timeout: engineDial}
	transport := &http.Transport{MaxIdleConns: 2, IdleConnTimeout: enginePatience, DisableCompression: true}
	e := &engine{where: host, base: url.URL{Scheme: "http", Host: "docker"}}
	switch scheme {
	case "unix":
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", address)
		}
	case "tcp", "http", "https":
		address, _, _ = strings.Cut(address, "/")
		transport.DialContext = dialer.DialContext
		transport.Proxy = http.ProxyFromEnvironment
		e.base.Host = address
		if scheme == "https" || d.TLSVerify || d.CertPath != "" {
			e.base.Scheme = "https"
			config, err := engineTLS(d.CertPath)
			if err != nil {
				return nil, err
			}
			transport.TLSClientConfig = config
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			port := "2375"
			if e.base.Scheme == "https" {
				port = "2376"
			}
			e.base.Host = net.JoinHostPort(strings.Trim(address, "[]"), port)
		}
	default:
		return nil, wrong(EngineScheme, "DOCKER_HOST is %q, and only unix:// and tcp:// can be used", short(host))
	}
	e.http = &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return e, nil
}

// engineTLS reads ca.pem, cert.pem and key.pem. The engine's certificate is always
// verified.
func engineTLS(folder string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if folder == "" {
		return config, nil
	}
	bad := func(err error) error {
		return &Error{Kind: EngineCertificates, Err: err,
			What: "the certificates for the Docker engine in " + short(folder)}
	}
	authorities, err := os.ReadFile(filepath.Join(folder, "ca.pem")) // #nosec G304 -- the user's DOCKER_CERT_PATH
	switch {
	case err == nil:
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, bad(errors.New("ca.pem holds no certificate"))
		}
	case !errors.Is(err, os.ErrNotExist):
		return nil, bad(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	switch {
	case err == nil:
		config.Certificates = []tls.Certificate{pair}
	case !errors.Is(err, os.ErrNotExist):
		return nil, bad(err)
	case config.RootCAs == nil:
		return nil, bad(err)
	}
	return config, nil
}

func (e *engine) close() { e.http.CloseIdleConnections() }

// get sends a GET. An answer that is not 200 is an *engineError.
func (e *engine) get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	u := e.base
	u.Path, u.RawQuery = path, query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := e.http.Do(request)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
			return nil, cause
		}
		return nil, e.unreachable(err)
	}
	if response.StatusCode != http.StatusOK {
		defer func() { _ = response.Body.Close() }()
		return nil, newEngineError(response)
	}
	return response, nil
}

// ask sends a GET and decodes the answer.
func (e *engine) ask(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, enginePatience)
	defer cancel()
	response, err := e.get(ctx, path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	const most = 8 << 20
	raw, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err == nil && len(raw) > most {
		err = fmt.Errorf("its answer takes more than %d MiB", most>>20)
	}
	if err == nil {
		err = jsondoc.Unmarshal(raw, into)
	}
	if err != nil {
		return &Error{Kind: NotAnEngine, Err: err,
			What: fmt.Sprintf("what answers at %s is not a Docker engine", e.where)}
	}
	return nil
}

// engineError is an answer of the engine that is not 200.
type engineError struct {
	status  int
	message string
}

func (e *engineError) Error() string {
	return fmt.Sprintf("the engine answers %d: %s", e.status, e.message)
}

func newEngineError(r *http.Response) *engineError {
	raw, _ := io.ReadAll(io.LimitReader(r.Body, 4<<10))
	var says struct{ Message string }
	if json.Unmarshal(raw, &says) != nil || says.Message == "" {
		says.Message = strings.TrimSpace(string(raw))
	}
	return &engineError{r.StatusCode, short(says.Message)}
}

func (e *engine) unreachable(err error) error {
	kind := EngineSilent
	switch {
	case errors.Is(err, os.ErrPermission):
		kind = EngineDenied
	case e.base.Host != "docker" && imageref.Loopback(e.base.Host):
		kind = EngineInside
	case e.base.Host != "docker":
		kind = EngineElsewhere
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &Error{Kind: kind, What: "the Docker engine at " + short(e.where) + " does not answer", Err: err}
}

// engineImage is what the engine says of an image (Engine API, ImageInspect).
type engineImage struct {
	ID           string `json:"Id"`
	OS           string `json:"Os"`
	Architecture string
	Variant      string
	RootFS       struct{ Layers []string }
	// Descriptor comes from the containerd store only (since API 1.48).
	Descriptor *v1.Descriptor
}

// inspect asks for an image.
func (e *engine) inspect(ctx context.Context, name string) (engineImage, error) {
	var i engineImage
	err := e.ask(ctx, "/images/"+name+"/json", &i)
	var answer *engineError
	switch {
	case errors.As(err, &answer) && strings.Contains(answer.message, "HTTP request to an HTTPS server"):
		return i, wrong(EngineWantsTLS, "the Docker engine at %s speaks TLS only", short(e.where))
	case errors.As(err, &answer) && (answer.status == http.StatusNotFound || answer.status == http.StatusBadRequest):
		return i, e.missing(ctx, name, answer)
	case errors.As(err, &answer):
		return i, &Error{Kind: EngineFails, What: "asking the Docker engine for " + short(name), Err: answer}
	case err != nil:
		return i, err
	}
	if i.ID == "" {
		return i, wrong(NotAnEngine, "what answers at %s is not a Docker engine", short(e.where))
	}
	return i, nil
}

// missing says which images there are.
func (e *engine) missing(ctx context.Context, name string, answer error) error {
	var all []struct {
		ID       string `json:"Id"`
		RepoTags []string
	}
	has := "" // the list is a courtesy: without it the error stands
	if e.ask(ctx, "/images/json", &all) == nil {
		var names []string
		there := false
		for _, i := range all {
			there = there || isID(name, i.ID)
			for _, tag := range i.RepoTags {
				if tag != "<none>:<none>" {
					names = append(names, tag)
				}
			}
		}
		if there || slices.Contains(names, name) || slices.Contains(names, name+":latest") {
			return &Error{Kind: PartlyInEngine, Err: answer,
				What: fmt.Sprintf("the Docker engine has the image %s, but not all of it", short(name))}
		}
		has = "; it has no image with a name"
		if near := nearest(name, names, 5); len(near) > 0 {
			has = "; nearest to that it has " + short(strings.Join(near, ", "))
		}
	}
	return &Error{Kind: NotInEngine, Err: answer,
		What: fmt.Sprintf("the Docker engine has no image %s%s", short(name), has)}
}

// apiMinor returns the minor version of the engine's API, 1.N; 0 if it does not tell.
func (e *engine) apiMinor(ctx context.Context) int {
	var version struct {
		APIVersion string `json:"ApiVersion"`
	}
	if e.ask(ctx, "/version", &version) != nil {
		return 0
	}
	minor, ok := strings.CutPrefix(version.APIVersion, "1.")
	n, err := strconv.Atoi(minor)
	if !ok || err != nil {
		return 0
	}
	return n
}

// isID reports whether name is an image's id, whole or the beginning of it.
func isID(name, id string) bool {
	hex := strings.TrimPrefix(name, "sha256:")
	return imageref.IsHex(hex) && strings.HasPrefix(strings.TrimPrefix(id, "sha256:"), hex)
}

// usesContainerd reports whether the engine keeps images in containerd's store, where
// layers stay as they were pushed.
func (e *engine) usesContainerd(ctx context.Context, i engineImage) bool {
	if i.Descriptor != nil {
		return true
	}
	var info struct{ DriverStatus [][]string }
	if e.ask(ctx, "/info", &info) != nil {
		return false
	}
	for _, pair := range info.DriverStatus {
		if len(pair) == 2 && pair[0] == "driver-type" && strings.HasPrefix(pair[1], "io.containerd.snapshotter.") {
			return true
		}
	}
	return false
}
