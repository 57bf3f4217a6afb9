package credentials

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	"github.com/aws/smithy-go"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// ecrRegistry is one ECR registry and the AWS credentials for it.
type ecrRegistry struct {
	r    *Resolver
	name string // the registry's host
	host ecrHost
	keys awsKeys
}

func (e *ecrRegistry) private() (*ecr.Client, error) {
	region := e.r.region(e.host)
	if region == "" {
		return nil, usererror.New(usererror.InvalidAuth, e.name, "the AWS region of "+e.name+" is not known",
			"Set AWS_REGION in the step's `env`: the host name does not tell the region.", nil)
	}
	return ecr.NewFromConfig(e.r.awsConfig(region, e.keys), func(o *ecr.Options) {
		if e.host.fips {
			o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
		}
		if e.host.dualStack {
			o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
	}), nil
}

func (e *ecrRegistry) public() *ecrpublic.Client {
	return ecrpublic.NewFromConfig(e.r.awsConfig(e.host.region, e.keys), func(o *ecrpublic.Options) {
		if e.host.dualStack {
			o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
	})
}

// service is how IAM spells the service in the name of an action.
func (e *ecrRegistry) service() string {
	if e.host.public {
		return "ecr-public"
	}
	return "ecr"
}

// buy gets the registry's password, which holds for twelve hours.
func (e *ecrRegistry) buy(ctx context.Context) (bought, error) {
	at := e.r.o.Clock.Now()
	what := "getting a login for " + e.name + " from AWS"
	var encoded string
	var expires *time.Time
	var err error
	if e.host.public {
		var out *ecrpublic.GetAuthorizationTokenOutput
		if out, err = e.public().GetAuthorizationToken(ctx, &ecrpublic.GetAuthorizationTokenInput{}); err == nil && out.AuthorizationData != nil {
			encoded, expires = aws.ToString(out.AuthorizationData.AuthorizationToken), out.AuthorizationData.ExpiresAt
		}
	} else {
		var client *ecr.Client
		if client, err = e.private(); err != nil {
			return bought{}, err
		}
		var out *ecr.GetAuthorizationTokenOutput
		if out, err = client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{}); err == nil && len(out.AuthorizationData) > 0 {
			encoded, expires = aws.ToString(out.AuthorizationData[0].AuthorizationToken), out.AuthorizationData[0].ExpiresAt
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return bought{}, ctx.Err()
		}
		remedy := "Check the access key, and whether it is active."
		if denied(err) {
			remedy = "Allow " + e.service() + ":GetAuthorizationToken to the user or role."
			if e.host.public {
				remedy = "Allow ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken to the user or role."
			}
		}
		return bought{}, e.r.awsProblem(usererror.WrongCredentials, e.name, what, remedy, err)
	}
	pair, err := base64.StdEncoding.DecodeString(encoded)
	user, password, ok := strings.Cut(string(pair), ":")
	if err != nil || !ok || password == "" {
		return bought{}, usererror.New(usererror.WrongCredentials, e.name, what, "", errors.New("the answer holds no token"))
	}
	e.r.o.Redactor.Learn(user, redact.New(password))
	e.r.o.Redactor.Learn("", redact.New(encoded))
	b := bought{config: authn.AuthConfig{Username: user, Password: password}, bought: at, expires: at.Add(12 * time.Hour)}
	if expires != nil {
		b.expires = *expires
	}
	return b, nil
}

// create creates the repository at path: scanned on push, its tags mutable unless
// immutable is set. One that another job has just created is as good.
func (e *ecrRegistry) create(ctx context.Context, path string, immutable bool) (bool, error) {
	var err error
	if e.host.public {
		// path is ALIAS/NAME; the alias is the account's own.
		_, name, ok := strings.Cut(path, "/")
		if !ok {
			return false, usererror.New(usererror.CannotCreate, e.name, "creating "+e.name+"/"+path, "Write the registry's alias before the repository: public.ecr.aws/ALIAS/NAME.", nil)
		}
		var out *ecrpublic.CreateRepositoryOutput
		out, err = e.public().CreateRepository(ctx, &ecrpublic.CreateRepositoryInput{RepositoryName: aws.String(name)})
		if err == nil && out.Repository != nil {
			if uri := aws.ToString(out.Repository.RepositoryUri); uri != "" && !strings.HasSuffix(uri, "/"+path) {
				return true, usererror.New(usererror.CannotCreate, e.name, "creating "+e.name+"/"+path,
					"Use the alias of the account's own registry.", errors.New("the account's registry created "+e.r.clean(uri)+" instead"))
			}
		}
	} else {
		var client *ecr.Client
		if client, err = e.private(); err != nil {
			return false, err
		}
		input := &ecr.CreateRepositoryInput{
			RepositoryName:             aws.String(path),
			ImageScanningConfiguration: &ecrtypes.ImageScanningConfiguration{ScanOnPush: true},
			ImageTagMutability:         ecrtypes.ImageTagMutabilityMutable,
		}
		if immutable {
			input.ImageTagMutability = ecrtypes.ImageTagMutabilityImmutable
		}
		if e.host.account != "" {
			input.RegistryId = aws.String(e.host.account)
		}
		_, err = client.CreateRepository(ctx, input)
	}
	if err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "RepositoryAlreadyExistsException" {
		return false, nil
	}
	remedy := "Create the repository by hand, or see what AWS answered."
	if denied(err) {
		remedy = "Allow " + e.service() + ":CreateRepository to the user or role, or create the repository by hand."
	}
	return false, e.r.awsProblem(usererror.CannotCreate, e.name, "creating the repository "+e.name+"/"+path, remedy, err)
}

// denied reports whether IAM does not allow the action to the credentials.
func denied(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains([]string{"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"}, api.ErrorCode())
}

// loginOnly is the CreateRepository of an ECR registry for which there is a
// Docker login, which is no AWS credential.
func loginOnly(registry string) func(context.Context, string, bool) (bool, error) {
	return func(_ context.Context, path string, _ bool) (bool, error) {
		return false, usererror.New(usererror.CannotCreate, registry, "creating the repository "+registry+"/"+path,
			"Give the registry AWS credentials (`username` and `password` with an access key, or `aws-role`), or create the repository by hand.",
			errors.New("there is a Docker login for the registry, but no AWS credential"))
	}
}
