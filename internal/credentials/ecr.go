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
		return nil, &Error{Kind: InvalidAuth, Host: e.name, What: "the AWS region of " + e.name + " is not known",
			Hint: Hint{Name: RegionUnknown}}
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

// issue gets the registry's password, which holds for twelve hours.
func (e *ecrRegistry) issue(ctx context.Context) (issued, error) {
	at := e.r.o.Clock.Now()
	what := "getting a login for " + e.name + " from AWS"
	var encoded string
	var expires *time.Time
	var err error
	if e.host.public {
		var out *ecrpublic.GetAuthorizationTokenOutput
		out, err = e.public().GetAuthorizationToken(ctx, &ecrpublic.GetAuthorizationTokenInput{})
		if err == nil && out.AuthorizationData != nil {
			encoded, expires = aws.ToString(out.AuthorizationData.AuthorizationToken), out.AuthorizationData.ExpiresAt
		}
	} else {
		var client *ecr.Client
		if client, err = e.private(); err != nil {
			return issued{}, err
		}
		var out *ecr.GetAuthorizationTokenOutput
		out, err = client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
		if err == nil && len(out.AuthorizationData) > 0 {
			data := out.AuthorizationData[0]
			encoded, expires = aws.ToString(data.AuthorizationToken), data.ExpiresAt
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return issued{}, ctx.Err()
		}
		hint := Hint{Name: AWSKey}
		if denied(err) {
			hint = Hint{AWSAction, e.service() + ":GetAuthorizationToken"}
			if e.host.public {
				hint.Of += " and sts:GetServiceBearerToken"
			}
		}
		return issued{}, e.r.awsFailed(WrongCredentials, e.name, what, hint, err)
	}
	pair, err := base64.StdEncoding.DecodeString(encoded)
	user, password, ok := strings.Cut(string(pair), ":")
	if err != nil || !ok || password == "" {
		return issued{}, &Error{Kind: WrongCredentials, Host: e.name, What: what,
			Err: errors.New("the answer holds no token")}
	}
	e.r.o.Redactor.Learn(user, redact.New(password))
	e.r.o.Redactor.Learn("", redact.New(encoded))
	got := issued{config: authn.AuthConfig{Username: user, Password: password}, at: at, expires: at.Add(12 * time.Hour)}
	if expires != nil {
		got.expires = *expires
	}
	return got, nil
}

// createFunc creates a repository of ECR with these tags; created is false if it was there.
type createFunc func(ctx context.Context, path string, tags tagMutability) (created bool, err error)

// tagMutability is which tags of a repository can be moved, as ECR spells it.
type tagMutability struct {
	setting    ecrtypes.ImageTagMutability
	exclusions []string // wildcard filters
}

// tagMutability returns that of repositories that are created for the item, which may be nil.
// Without a word in it tags are immutable or mutable, as the caller says.
func (i *Item) tagMutability(immutable bool) tagMutability {
	switch {
	case i != nil && i.ECRTagMutability != "":
		return tagMutability{ecrtypes.ImageTagMutability(i.ECRTagMutability), i.ECRTagExclusions}
	case immutable:
		return tagMutability{setting: ecrtypes.ImageTagMutabilityImmutable}
	}
	return tagMutability{setting: ecrtypes.ImageTagMutabilityMutable}
}

// create creates the repository at path, scanned on push. One that another job has just
// created is as good, and is not changed.
func (e *ecrRegistry) create(ctx context.Context, path string, tags tagMutability) (bool, error) {
	create := e.createPrivate
	if e.host.public {
		create = e.createPublic
	}
	created, err := create(ctx, path, tags)
	if err == nil || ctx.Err() != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return created, err
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "RepositoryAlreadyExistsException" {
		return false, nil
	}
	hint := Hint{Name: CreateByHand}
	if denied(err) {
		hint = Hint{CreateAction, e.service() + ":CreateRepository"}
	}
	return created, e.r.awsFailed(CannotCreate, e.name, "creating the repository "+e.name+"/"+path, hint, err)
}

func (e *ecrRegistry) createPrivate(ctx context.Context, path string, tags tagMutability) (bool, error) {
	client, err := e.private()
	if err != nil {
		return false, err
	}
	var excluded []ecrtypes.ImageTagMutabilityExclusionFilter
	for _, filter := range tags.exclusions {
		excluded = append(excluded, ecrtypes.ImageTagMutabilityExclusionFilter{
			Filter: aws.String(filter), FilterType: ecrtypes.ImageTagMutabilityExclusionFilterTypeWildcard,
		})
	}
	input := &ecr.CreateRepositoryInput{
		RepositoryName:             aws.String(path),
		ImageScanningConfiguration: &ecrtypes.ImageScanningConfiguration{ScanOnPush: true},
		ImageTagMutability:         tags.setting,

		ImageTagMutabilityExclusionFilters: excluded,
	}
	if e.host.accountID != "" {
		input.RegistryId = aws.String(e.host.accountID)
	}
	_, err = client.CreateRepository(ctx, input)
	return err == nil, err
}

// createPublic creates a repository of ECR Public, whose tags are always mutable. path is
// ALIAS/NAME; the alias is the account's own.
func (e *ecrRegistry) createPublic(ctx context.Context, path string, _ tagMutability) (bool, error) {
	_, name, ok := strings.Cut(path, "/")
	if !ok {
		return false, &Error{Kind: CannotCreate, Host: e.name, What: "creating " + e.name + "/" + path,
			Hint: Hint{Name: AliasMissing}}
	}
	out, err := e.public().CreateRepository(ctx, &ecrpublic.CreateRepositoryInput{RepositoryName: aws.String(name)})
	if err != nil {
		return false, err
	}
	if out.Repository != nil {
		if uri := aws.ToString(out.Repository.RepositoryUri); uri != "" && !strings.HasSuffix(uri, "/"+path) {
			return true, &Error{Kind: CannotCreate, Host: e.name, What: "creating " + e.name + "/" + path,
				Hint: Hint{Name: AliasOther},
				Err:  errors.New("the account's registry created " + e.r.clean(uri) + " instead")}
		}
	}
	return true, nil
}

// denied reports whether IAM does not allow the action to the credentials.
func denied(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) &&
		slices.Contains([]string{"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"}, api.ErrorCode())
}

// loginOnly is the createFunc of an ECR registry for which there is a Docker login, which
// is no AWS credential.
func loginOnly(registry string) createFunc {
	return func(_ context.Context, path string, _ tagMutability) (bool, error) {
		return false, &Error{
			Kind: CannotCreate, Host: registry, What: "creating the repository " + registry + "/" + path,
			Hint: Hint{Name: CreateByKeys},
			Err:  errors.New("there is a Docker login for the registry, but no AWS credential"),
		}
	}
}
