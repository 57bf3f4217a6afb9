package credentials

import "testing"

func TestParseECR(t *testing.T) {
	const id = "123456789012"
	tests := []struct {
		host string
		want ecrHost
		ok   bool
	}{
		{id + ".dkr.ecr.us-east-1.amazonaws.com", ecrHost{accountID: id, region: "us-east-1"}, true},
		{id + ".dkr.ecr-fips.us-gov-west-1.amazonaws.com", ecrHost{accountID: id, region: "us-gov-west-1", fips: true}, true},
		{id + ".dkr.ecr.cn-north-1.amazonaws.com.cn", ecrHost{accountID: id, region: "cn-north-1"}, true},
		{id + ".dkr.ecr.eusc-de-east-1.amazonaws.eu", ecrHost{accountID: id, region: "eusc-de-east-1"}, true},
		{id + ".dkr-ecr.eu-west-1.on.aws", ecrHost{accountID: id, region: "eu-west-1", dualStack: true}, true},
		{id + ".dkr-ecr-fips.us-east-2.on.aws", ecrHost{accountID: id, region: "us-east-2", fips: true, dualStack: true}, true},
		{id + ".dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn", ecrHost{accountID: id, region: "cn-northwest-1", dualStack: true}, true},
		{"public.ecr.aws", ecrHost{public: true, region: "us-east-1"}, true},
		{"ecr-public.aws.com", ecrHost{public: true, region: "us-east-1", dualStack: true}, true},

		{id + ".dkr.ecr.us-east-1.amazonaws.com.evil.example", ecrHost{}, false},
		{id + ".dkr.ecr.us-east-1.amazonaws.com.cn.evil.example", ecrHost{}, false},
		{"evil-" + id + ".dkr.ecr.us-east-1.amazonaws.com", ecrHost{}, false},
		{"x." + id + ".dkr.ecr.us-east-1.amazonaws.com", ecrHost{}, false},
		{"12345678901.dkr.ecr.us-east-1.amazonaws.com", ecrHost{}, false},
		{id + ".dkr.ecr.us-east-1.amazonaws.com:8443", ecrHost{}, false},
		{id + ".dkr.ecr.us-east-1.evil.amazonaws.com", ecrHost{}, false},
		{id + ".dkrxecr.us-east-1.on.aws", ecrHost{}, false},
		{id + ".dkr.ecr.us-east-1.amazonawsxcom", ecrHost{}, false},
		{"public.ecr.aws.evil.example", ecrHost{}, false},
		{"notpublic.ecr.aws", ecrHost{}, false},
		{"", ecrHost{}, false},
	}
	for _, tt := range tests {
		if got, ok := parseECR(tt.host); got != tt.want || ok != tt.ok {
			t.Errorf("parseECR(%q) = %+v, %v; want %+v, %v", tt.host, got, ok, tt.want, tt.ok)
		}
	}
}

func TestProvidersHosts(t *testing.T) {
	tests := []struct {
		host        string
		acr, google bool
	}{
		{"acme.azurecr.io", true, false},
		{"acme.westeurope.geo.azurecr.io", true, false},
		{"azurecr.io", false, false},
		{"evilazurecr.io", false, false},
		{"acme.azurecr.io.evil.example", false, false},
		{"acme.azurecr.io:8443", false, false},
		{"-.azurecr.io", false, false},
		{"europe-west1-docker.pkg.dev", false, true},
		{"gcr.io", false, true},
		{"eu.gcr.io", false, true},
		{"evilgcr.io", false, false},
		{"pkg.dev", false, false},
		{"x-docker.pkg.dev.evil.example", false, false},
		{"gcr.io:5000", false, false},
		{"docker.io", false, false},
	}
	for _, tt := range tests {
		if got := isACR(tt.host); got != tt.acr {
			t.Errorf("isACR(%q) = %v", tt.host, got)
		}
		if got := isGoogle(tt.host); got != tt.google {
			t.Errorf("isGoogle(%q) = %v", tt.host, got)
		}
	}
}

func TestJobRegistry(t *testing.T) {
	for server, want := range map[string]string{
		"https://github.com":              "ghcr.io",
		"https://github.com/":             "ghcr.io",
		"https://github.example.com":      "containers.github.example.com",
		"https://octo.ghe.com":            "containers.octo.ghe.com",
		"http://github.com":               "",
		"https://github.com.evil.example": "containers.github.com.evil.example",
		"https://notgithub.com":           "containers.notgithub.com",
		"https://user@github.com":         "",
		"https://github.com/ghcr":         "",
		"github.com":                      "",
		"":                                "",
	} {
		if got := (Job{ServerURL: server}).registry(); got != want {
			t.Errorf("the registry of %q is %q, want %q", server, got, want)
		}
	}
	// Gitea and Forgejo serve images themselves, at whatever address the runner knows them by.
	for server, want := range map[string]string{
		"https://codeberg.org":          "codeberg.org",
		"https://git.example.com:8443/": "git.example.com:8443",
		"https://example.com/git/":      "example.com",
		"http://gitea:3000":             "gitea:3000",
		"https://github.com":            "github.com",
		"https://user@git.example.com":  "",
		"ssh://git.example.com":         "",
		"":                              "",
	} {
		if got := (Job{ServerURL: server, Forge: true}).registry(); got != want {
			t.Errorf("the registry of the forge %q is %q, want %q", server, got, want)
		}
	}
}
