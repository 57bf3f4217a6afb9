package credentials

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// trustProvider is how one provider is told to trust a job.
type trustProvider struct {
	where string // where its rule goes, a sentence without its end
	hint  string
	// rule returns the rule that trusts these exact subjects, never a pattern.
	rule func(c Claims, subjects []string) string
}

// awsTrust is a condition of the role's trust policy.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html
func awsTrust() trustProvider {
	return trustProvider{
		where: "This condition in the role's trust policy lets this job in",
		hint: "The policy has to allow sts:AssumeRoleWithWebIdentity to the account's identity provider for that " +
			"issuer.",
		rule: func(c Claims, subjects []string) string {
			issuer := strings.TrimPrefix(c.Issuer, "https://")
			return indented(map[string]any{"Condition": map[string]any{"StringEquals": map[string]any{
				issuer + ":aud": c.Audience, issuer + ":sub": oneOrList(subjects),
			}}})
		},
	}
}

// googleTrust is the attribute condition of the workload identity provider.
// https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines
func googleTrust() trustProvider {
	return trustProvider{
		where: "This attribute condition of the workload identity provider lets this job in",
		hint:  "The provider maps google.subject=assertion.sub, and has that issuer.",
		rule: func(_ Claims, subjects []string) string {
			if len(subjects) == 1 {
				return "assertion.sub == " + strconv.Quote(subjects[0])
			}
			var quoted []string
			for _, s := range subjects {
				quoted = append(quoted, strconv.Quote(s))
			}
			return "assertion.sub in [" + strings.Join(quoted, ", ") + "]"
		},
	}
}

// googleAccountTrust is who may act as a service account.
// https://cloud.google.com/iam/docs/principal-identifiers
func googleAccountTrust(provider, account string) trustProvider {
	pool, _, _ := strings.Cut(strings.TrimPrefix(googleProvider(provider), googleResource), "/providers/")
	return trustProvider{
		where: "These principals need the role roles/iam.workloadIdentityUser on " + account,
		rule: func(_ Claims, subjects []string) string {
			var lines []string
			for _, s := range subjects {
				lines = append(lines, "principal://iam.googleapis.com/"+pool+"/subject/"+s)
			}
			return strings.Join(lines, "\n")
		},
	}
}

// azureTrust is the application's federated credentials, each of which holds one subject.
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust
func azureTrust() trustProvider {
	return trustProvider{
		where: "A federated credential of the application lets this job in, one for each subject",
		hint:  "Compare azure-client and azure-tenant with the application, too.",
		rule: func(c Claims, subjects []string) string {
			lines := []string{"Issuer: " + c.Issuer}
			for _, s := range subjects {
				lines = append(lines, "Subject: "+s)
			}
			return strings.Join(append(lines, "Audience: "+c.Audience), "\n")
		},
	}
}

// dockerHubTrust is the ruleset of the OIDC connection.
// https://docs.docker.com/enterprise/security/oidc-connections/
func dockerHubTrust() trustProvider {
	return trustProvider{
		where: "A ruleset of the OIDC connection, in the organization's settings, lets this job in with these subjects",
		hint:  "Compare the connection's id with `dockerhub-connection`, and what the ruleset may push to.",
		rule:  func(_ Claims, subjects []string) string { return "Subject: " + strings.Join(subjects, "\nSubject: ") },
	}
}

// quayTrust is the robot account's federation: pairs of issuer and subject.
// Red Hat Quay 3.16, "Manage Red Hat Quay", Keyless authentication with robot accounts.
func quayTrust(robot string) trustProvider {
	return trustProvider{
		where: "Robot federation of " + robot + " lets this job in with these issuers and subjects",
		hint: "Where the federation lists audiences, the one above has to be among them; " +
			"see that the robot account exists.",
		rule: func(c Claims, subjects []string) string {
			var lines []string
			for _, s := range subjects {
				lines = append(lines, "Issuer: "+c.Issuer, "Subject: "+s)
			}
			return strings.Join(lines, "\n")
		},
	}
}

// jfrogTrust is the claims of an identity mapping.
// https://jfrog.com/help/r/jfrog-platform-administration-documentation/identity-mappings
func jfrogTrust(provider string) trustProvider {
	return trustProvider{
		where: "Claims JSON of an identity mapping of the OIDC integration " + strconv.Quote(provider) +
			" lets this job in, a mapping for each subject",
		hint: "The integration's provider URL is that issuer, and its audience the one above (`jfrog-audience`).",
		rule: func(c Claims, subjects []string) string {
			var mappings []string
			for _, s := range subjects {
				mappings = append(mappings, `{"iss": `+jsonText(c.Issuer, "")+`, "sub": `+jsonText(s, "")+"}")
			}
			return strings.Join(mappings, "\n")
		},
	}
}

func oneOrList(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	return values
}

// indented writes the members of an object as they would stand in a document.
func indented(object map[string]any) string {
	lines := strings.Split(jsonText(object, "  "), "\n")
	lines = lines[1 : len(lines)-1] // without the braces around it
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

// jsonText returns v in JSON, without the escapes that are for HTML only.
func jsonText(v any, indent string) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	_ = e.Encode(v) // texts, lists and maps of them always can
	return strings.TrimSuffix(out.String(), "\n")
}
