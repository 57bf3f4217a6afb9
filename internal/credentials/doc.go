// Package credentials finds the credential that a repository gets: from registry-auth,
// Docker's configuration and its helpers, the job's own token, or an exchange of the job's
// OIDC token with AWS, Google Cloud, Azure, Docker Hub, Quay or Artifactory. Where there is
// none, it says why.
package credentials
