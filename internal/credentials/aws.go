package credentials

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// awsKeys gives AWS credentials, and says in its errors what a person can do.
// It may be asked often: it remembers what it got.
type awsKeys func(context.Context) (aws.Credentials, error)

// awsConfig returns a configuration of the SDK that takes nothing from the process:
// region, endpoints and requests are ours to give. busy requests are tried again by
// the carrier, so the SDK's own retries are off.
func (r *Resolver) awsConfig(region string, keys awsKeys) aws.Config {
	carrier := r.exchangeTransport()
	carrier.busy = throttled
	c := aws.Config{
		Region:        region,
		HTTPClient:    carrier.client(),
		ConfigSources: []any{awsEndpoints(r.o.Getenv)},
		Retryer:       func() aws.Retryer { return aws.NopRetryer{} },
		Logger:        logging.Nop{}, // it would print to the runner's log as it likes
	}
	if keys != nil {
		c.Credentials = aws.CredentialsProviderFunc(keys)
	}
	return c
}

// throttled reports whether AWS asks to come again later, which most of its
// services say with status 400.
func throttled(status int, body []byte) bool {
	return status == http.StatusBadRequest && (bytes.Contains(body, []byte("Throttling")) ||
		bytes.Contains(body, []byte("TooManyRequestsException")) ||
		bytes.Contains(body, []byte("IDPCommunicationError")))
}

// awsEndpoints gives the SDK the endpoints that the environment names, such as
// AWS_ENDPOINT_URL_ECR.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
type awsEndpoints func(string) string

// GetServiceBaseEndpoint is how the SDK asks.
func (e awsEndpoints) GetServiceBaseEndpoint(_ context.Context, service string) (string, bool, error) {
	if strings.EqualFold(e("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		return "", false, nil
	}
	name := strings.ReplaceAll(strings.ToUpper(service), " ", "_")
	url := cmp.Or(e("AWS_ENDPOINT_URL_"+name), e("AWS_ENDPOINT_URL"))
	return url, url != "", nil
}

// region returns that of an ECR host, else the environment's.
func (r *Resolver) region(h ecrHost) string {
	return cmp.Or(h.region, r.o.Getenv("AWS_REGION"), r.o.Getenv("AWS_DEFAULT_REGION"))
}

// namesAWS reports whether the environment's variables name AWS credentials for the
// default chain. One that is set but empty, as from an unset secret, names nothing.
func (r *Resolver) namesAWS() bool {
	env := r.o.Getenv
	return env("AWS_ACCESS_KEY_ID") != "" && env("AWS_SECRET_ACCESS_KEY") != "" ||
		env("AWS_WEB_IDENTITY_TOKEN_FILE") != "" && env("AWS_ROLE_ARN") != "" ||
		env("AWS_PROFILE") != "" ||
		env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" ||
		env("AWS_CONTAINER_CREDENTIALS_FULL_URI") != ""
}

// holdsAWS reports whether the default chain would find AWS credentials in the
// environment: in its variables, or in the SDK's file.
func (r *Resolver) holdsAWS() bool {
	if r.namesAWS() {
		return true
	}
	env := r.o.Getenv
	for _, file := range []string{env("AWS_SHARED_CREDENTIALS_FILE"),
		filepath.Join(env("HOME"), ".aws", "credentials")} {
		if file == "" || !filepath.IsAbs(file) {
			continue
		}
		if b, err := r.o.ReadFile(file); err == nil && bytes.Contains(b, []byte("aws_access_key_id")) {
			return true
		}
	}
	return false
}

// accessKey returns the keys that an item holds. If they are those of the
// environment, the environment's session token belongs to them.
func (r *Resolver) accessKey(item *Item) awsKeys {
	session := ""
	if item.Username.Text == r.o.Getenv("AWS_ACCESS_KEY_ID") {
		session = r.o.Getenv("AWS_SESSION_TOKEN")
		r.o.Redactor.Learn("", redact.New(session))
	}
	provider := credentials.NewStaticCredentialsProvider(item.Username.Text, item.Password.Reveal(), session)
	return provider.Retrieve
}

// assumedRole returns the keys of a role, assumed with the job's OIDC token.
func (r *Resolver) assumedRole(registry string, h ecrHost, role, session string) awsKeys {
	audience := "sts.amazonaws.com"
	if h.china() {
		audience = "sts.amazonaws.com.cn" // what AWS documents for the partition aws-cn
	}
	cache := aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		id, err := r.idToken(ctx, registry, audience)
		if err != nil {
			return aws.Credentials{}, err
		}
		client := sts.NewFromConfig(r.awsConfig(r.region(h), nil), func(o *sts.Options) {
			if h.fips {
				o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
			}
		})
		out, err := client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
			RoleArn:          aws.String(role),
			RoleSessionName:  aws.String(cmp.Or(session, r.job.awsSession())),
			WebIdentityToken: aws.String(id.text.Reveal()),
		})
		what := "assuming the role " + role + " with the job's OIDC token for " + registry
		if err == nil && (out.Credentials == nil || aws.ToString(out.Credentials.SecretAccessKey) == "") {
			err = errors.New("the answer holds no credentials")
		}
		if err != nil {
			return aws.Credentials{}, r.awsFailed(OIDCRefused, registry, what, Hint{},
				r.explainTrust(awsTrust(), id.claims, err))
		}
		got := aws.Credentials{
			AccessKeyID:     aws.ToString(out.Credentials.AccessKeyId),
			SecretAccessKey: aws.ToString(out.Credentials.SecretAccessKey),
			SessionToken:    aws.ToString(out.Credentials.SessionToken),
			Source:          "AssumeRoleWithWebIdentity",
		}
		if out.Credentials.Expiration != nil {
			got.CanExpire, got.Expires = true, *out.Credentials.Expiration
		}
		r.learnKeys(got)
		return got, nil
	}))
	return cache.Retrieve
}

// defaultChain returns the keys that the SDK finds: environment, web identity,
// profile, container, and with metadata the instance's. The SDK reads the process's
// own environment and files.
func (r *Resolver) defaultChain(registry string, h ecrHost, metadata bool) awsKeys {
	state := imds.ClientDisabled
	if metadata {
		state = imds.ClientDefaultEnableState
	}
	cache := aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		// The SDK sends what is in these files without showing it to us first.
		for _, name := range []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"} {
			if sent, err := r.o.ReadFile(r.o.Getenv(name)); err == nil {
				r.o.Redactor.Learn("", redact.New(string(sent)))
			}
		}
		c, err := config.LoadDefaultConfig(ctx,
			config.WithRegion(cmp.Or(r.region(h), "us-east-1")),
			config.WithHTTPClient(r.chainClient()),
			config.WithLogger(logging.Nop{}),
			config.WithEC2IMDSClientEnableState(state))
		var got aws.Credentials
		if err == nil {
			got, err = c.Credentials.Retrieve(ctx)
		}
		if err != nil {
			return aws.Credentials{}, r.chainProblem(ctx, registry, err)
		}
		r.learnKeys(got)
		return got, nil
	}))
	return cache.Retrieve
}

// chainProblem makes an *Error of the default chain's error. A chain that ends in nothing
// means that the credentials are unset, as does a profile that no file has; what the
// environment names and cannot be had is a failure.
func (r *Resolver) chainProblem(ctx context.Context, registry string, err error) error {
	var refused smithy.APIError
	var noProfile config.SharedConfigProfileNotExistError
	var network net.Error
	kind, hint := WrongCredentials, Hint{Name: AWSNamed}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refused):
	case !r.namesAWS(), errors.As(err, &noProfile):
		return &Error{Kind: MissingCredentials, Host: registry, What: "AWS credentials are unset",
			Hint: Hint{Name: AWSUnset}, Err: errors.New(r.clean(err.Error()))}
	case errors.As(err, &network):
		kind, hint = Unreachable, Hint{}
	}
	return r.awsFailed(kind, registry, "getting AWS credentials for "+registry, hint, err)
}

// chainClient returns the client of the SDK's own chain. It is of the SDK's kind, since
// any other is refused when AWS_CA_BUNDLE is set, and uses our way into the network.
func (r *Resolver) chainClient() aws.HTTPClient {
	transport := r.o.Transport()
	base, ok := transport.(*http.Transport)
	if !ok {
		return &http.Client{Transport: transport, Timeout: r.o.Timeout}
	}
	return awshttp.NewBuildableClient().WithTimeout(r.o.Timeout).WithTransportOptions(func(t *http.Transport) {
		t.Proxy, t.DialContext, t.TLSClientConfig = base.Proxy, base.DialContext, base.TLSClientConfig.Clone()
		if c := t.TLSClientConfig; c != nil && c.RootCAs != nil {
			c.RootCAs = c.RootCAs.Clone() // the SDK adds AWS_CA_BUNDLE to it, while others use ours
		}
		t.DisableKeepAlives = true // it is used once
	})
}

func (r *Resolver) learnKeys(c aws.Credentials) {
	r.o.Redactor.Learn(c.AccessKeyID, redact.New(c.SecretAccessKey))
	r.o.Redactor.Learn("", redact.New(c.SessionToken))
}

// awsFailed makes an *Error of the SDK's error: of kind if AWS said no.
func (r *Resolver) awsFailed(kind ErrorKind, registry, what string, hint Hint, err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	if trust, ok := errors.AsType[*TrustRefused](err); ok {
		return r.failed(kind, registry, what, hint, trust)
	}
	if u, ok := errors.AsType[*unanswered](err); ok {
		return r.failed(kind, registry, what, hint, u)
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return r.failed(kind, registry, what, hint,
			errors.New("AWS answered "+api.ErrorCode()+": "+api.ErrorMessage()))
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return r.failed(kind, registry, what, hint, errors.New("the answer of AWS is not what was expected"))
	}
	return r.failed(kind, registry, what, hint, bare(err))
}
