// Package standins starts stand-ins of the services that logins need: GitHub's
// endpoint for OIDC tokens, AWS (STS, ECR, ECR Public), Google (STS, IAM), Microsoft
// (Entra, ACR), Docker Hub, Quay and JFrog. Each checks what the real one checks and refuses what
// the real one refuses. Each has a comment that begins with its name and a constructor NewNAME:
// that makes its row in docs/matrix.md as soon as a test of auth, leak or e2e calls it.
//
// They live in an [Internet] of their own on loopback, which programs reach under the
// services' real names, through a proxy and an authority that the test trusts. Hosts
// that nobody plays do not exist there, so that a test notices a request to a stranger.
package standins
