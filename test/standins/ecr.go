package standins

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// ECR is one ECR registry: private, of an account in a region, or public. Its rules
// stand in front of a real registry.
type ECR struct {
	Host    string // of the registry
	APIHost string
	Account string // empty: ECR Public
	Region  string
	Alias   string // of the account in ECR Public

	aws      *AWS
	registry http.Handler

	mu           sync.Mutex
	repositories map[string]*Repository
	race         map[string]func()
}

// Repository is a repository of ECR.
type Repository struct {
	Immutable  bool
	ScanOnPush bool
	Mutability string // as it was asked for when the repository was created
	Exclusions string // wildcard filters, comma-separated
}

// Registry puts the private registry of an account in a region on the internet, with the
// API at its host. registry and api are their names.
func (a *AWS) Registry(registry, api, account, region string) *ECR {
	return a.put(&ECR{Host: registry, APIHost: api, Account: account, Region: region})
}

// PublicRegistry puts ECR Public on the internet, with an account that has this alias.
func (a *AWS) PublicRegistry(alias string) *ECR {
	return a.put(&ECR{Host: "public.ecr.aws", APIHost: "api.ecr-public.us-east-1.amazonaws.com", Region: "us-east-1", Alias: alias})
}

func (a *AWS) put(e *ECR) *ECR {
	a.t.Helper()
	e.aws, e.registry = a, backend(a.t)
	e.repositories, e.race = map[string]*Repository{}, map[string]func(){}
	a.mu.Lock()
	a.registries[e.Host] = e
	a.mu.Unlock()
	a.net.Handle(e.Host, http.HandlerFunc(e.serveRegistry))
	if e.APIHost != "" {
		a.net.Handle(e.APIHost, e.API())
	}
	return e
}

// Add creates a repository.
func (e *ECR) Add(name string, r Repository) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.repositories[name] = &r
}

// Repositories returns what there is, by name.
func (e *ECR) Repositories() map[string]Repository {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]Repository{}
	for name, r := range e.repositories {
		out[name] = *r
	}
	return out
}

// Race calls do just before the repository is created, as if another job did something
// in between.
func (e *ECR) Race(name string, do func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.race[name] = do
}

func (e *ECR) public() bool { return e.Account == "" }

func (e *ECR) service() string {
	if e.public() {
		return "ecr-public"
	}
	return "ecr"
}

// API is the service's API (JSON 1.1), for a test that serves it at an address of its own.
func (e *ECR) API() http.Handler {
	target := "AmazonEC2ContainerRegistry_V20150921."
	if e.public() {
		target = "SpencerFrontendService."
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := func() (any, error) {
			operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), target)
			if !ok || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
				return nil, fault{http.StatusBadRequest, "UnknownOperationException", trimName(r.Header.Get("X-Amz-Target"))}
			}
			who, body, err := e.aws.authorize(r, e.Region, e.service())
			if err != nil {
				return nil, err
			}
			if err := who.allowed(e.service() + ":" + operation); err != nil {
				return nil, err
			}
			switch operation {
			case "GetAuthorizationToken":
				return e.token(who, r.Host)
			case "CreateRepository":
				return e.create(body)
			}
			return nil, fault{http.StatusBadRequest, "UnknownOperationException", operation}
		}()
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if err != nil {
			f := fault{http.StatusInternalServerError, "ServerException", err.Error()}
			errors.As(err, &f)
			w.WriteHeader(f.status)
			out = map[string]string{"__type": f.code, "message": f.message}
		}
		_ = json.NewEncoder(w).Encode(out)
	})
}

func (e *ECR) token(who principal, api string) (any, error) {
	life := e.aws.PasswordLife
	if life == 0 {
		life = 12 * time.Hour
	}
	secret := "eyJwYXlsb2FkIjoi" + rand.Text() + rand.Text()
	end := e.aws.now().Add(life)
	e.aws.mu.Lock()
	e.aws.tokens[api]++
	e.aws.passwords[secret] = password{region: e.Region, public: e.public(), ends: end, may: who.may}
	e.aws.mu.Unlock()
	data := map[string]any{
		"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:" + secret)),
		"expiresAt":          float64(end.UnixMilli()) / 1000,
	}
	if e.public() {
		return map[string]any{"authorizationData": data}, nil
	}
	data["proxyEndpoint"] = "https://" + e.Host
	return map[string]any{"authorizationData": []any{data}}, nil
}

var repositoryName = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

// tagFilter is what ECR takes as a filter of tags.
var tagFilter = regexp.MustCompile(`^[0-9a-zA-Z._*-]{1,128}$`)

func (e *ECR) create(body []byte) (any, error) {
	var in struct {
		RepositoryName     string `json:"repositoryName"`
		RegistryID         string `json:"registryId"`
		ImageTagMutability string `json:"imageTagMutability"`
		Exclusions         []struct {
			Filter     string `json:"filter"`
			FilterType string `json:"filterType"`
		} `json:"imageTagMutabilityExclusionFilters"`
		ImageScanningConfiguration struct {
			ScanOnPush bool `json:"scanOnPush"`
		} `json:"imageScanningConfiguration"`
	}
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return nil, fault{http.StatusBadRequest, "SerializationException", err.Error()}
	}
	if len(in.RepositoryName) < 2 || !repositoryName.MatchString(in.RepositoryName) || !e.public() && in.RegistryID != "" && in.RegistryID != e.Account {
		return nil, fault{http.StatusBadRequest, "InvalidParameterException", "Invalid parameter at 'repositoryName' failed to satisfy constraint"}
	}
	var filters []string
	for _, x := range in.Exclusions {
		if x.FilterType != "WILDCARD" || !tagFilter.MatchString(x.Filter) {
			return nil, fault{http.StatusBadRequest, "InvalidParameterException", "Invalid parameter at 'imageTagMutabilityExclusionFilters'"}
		}
		filters = append(filters, x.Filter)
	}
	if len(filters) > 5 || (len(filters) > 0) != strings.HasSuffix(in.ImageTagMutability, "_WITH_EXCLUSION") || e.public() && in.ImageTagMutability != "" {
		return nil, fault{http.StatusBadRequest, "InvalidParameterException", "Invalid parameter at 'imageTagMutability'"}
	}
	e.mu.Lock()
	do := e.race[in.RepositoryName]
	delete(e.race, in.RepositoryName)
	e.mu.Unlock()
	if do != nil {
		do()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.repositories[in.RepositoryName] != nil {
		return nil, fault{http.StatusBadRequest, "RepositoryAlreadyExistsException",
			"The repository with name '" + in.RepositoryName + "' already exists in the registry with id '" + e.Account + "'"}
	}
	e.repositories[in.RepositoryName] = &Repository{
		Immutable: in.ImageTagMutability == "IMMUTABLE", ScanOnPush: in.ImageScanningConfiguration.ScanOnPush,
		Mutability: in.ImageTagMutability, Exclusions: strings.Join(filters, ","),
	}
	uri := e.Host + "/" + in.RepositoryName
	if e.public() {
		uri = e.Host + "/" + e.Alias + "/" + in.RepositoryName
	}
	return map[string]any{"repository": map[string]any{"repositoryName": in.RepositoryName, "registryId": e.Account, "repositoryUri": uri}}, nil
}

var registryPath = regexp.MustCompile(`^/v2/(.+?)/(manifests|blobs|tags|referrers)/(.*)$`)

func (e *ECR) serveRegistry(w http.ResponseWriter, r *http.Request) {
	may, status, message := e.login(r)
	if status != 0 {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q,service=%q", "https://"+e.Host+"/", "ecr.amazonaws.com"))
		}
		registryError(w, status, map[int]string{http.StatusUnauthorized: "UNAUTHORIZED", http.StatusForbidden: "DENIED"}[status], message)
		return
	}
	m := registryPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		e.registry.ServeHTTP(w, r)
		return
	}
	name, owned := m[1], true
	if e.public() {
		name, owned = strings.CutPrefix(m[1], e.Alias+"/")
	}
	e.mu.Lock()
	repository := e.repositories[name]
	e.mu.Unlock()
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	switch {
	case repository == nil || !owned:
		registryError(w, http.StatusNotFound, "NAME_UNKNOWN", "The repository with name '"+name+"' does not exist in the registry with id '"+e.Account+"'")
		return
	case write && !slices.Contains(may, e.service()+":PutImage"):
		registryError(w, http.StatusForbidden, "DENIED", "User is not authorized to perform: "+e.service()+":InitiateLayerUpload on resource: "+name)
		return
	case repository.Immutable && r.Method == http.MethodPut && m[2] == "manifests" && !strings.Contains(m[3], ":"):
		e.putImmutable(w, r, m[3])
		return
	}
	e.registry.ServeHTTP(w, r)
}

// login checks the password; status is 0 if it is right.
func (e *ECR) login(r *http.Request) (may []string, status int, message string) {
	user, secret, ok := r.BasicAuth()
	if !ok {
		return nil, http.StatusUnauthorized, "Not Authorized"
	}
	e.aws.mu.Lock()
	p, known := e.aws.passwords[secret]
	e.aws.mu.Unlock()
	switch {
	case user != "AWS" || !known || p.public != e.public() || p.region != e.Region:
		return nil, http.StatusUnauthorized, "Not Authorized"
	case !e.aws.now().Before(p.ends):
		return nil, http.StatusForbidden, "Your authorization token has expired. Reauthenticate and try again."
	}
	return p.may, 0, ""
}

// putImmutable refuses to move a tag; writing what is there is no move.
func (e *ECR) putImmutable(w http.ResponseWriter, r *http.Request, tag string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		registryError(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	head := r.Clone(r.Context())
	head.Method, head.Body, head.ContentLength = http.MethodHead, http.NoBody, 0
	head.Header.Set("Accept", "*/*")
	there := httptest.NewRecorder()
	e.registry.ServeHTTP(there, head)
	if there.Code == http.StatusOK && there.Header().Get("Docker-Content-Digest") != "sha256:"+sum(body) {
		registryError(w, http.StatusBadRequest, "TAG_INVALID",
			"The image tag '"+tag+"' already exists in the repository and cannot be overwritten because the tag is immutable.")
		return
	}
	e.registry.ServeHTTP(w, r)
}
