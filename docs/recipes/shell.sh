#!/bin/sh
# Plain shell, with the container: any other CI system, or a terminal. Secrets stay in
# variables, which password-env names: never on a command line, never pasted into YAML. If
# nothing was published because credentials are unset, the exit status is 1.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One platform, by any Docker. For several, BuildKit writes the archive:
#   docker buildx create --use
#   docker buildx build --platform linux/amd64,linux/arm64 --output "type=oci,dest=$work/image.tar" .
docker build -t app .
docker save -o "$work/image.tar" app

docker run --rm -i -v "$work:/work:ro" -w /work -e DOCKERHUB_TOKEN -e QUAY_TOKEN \
  ghcr.io/multi-registry-push/multi-registry-push:1 \
  --source ./image.tar \
  --tags docker.io/acme/app:latest \
  --tags quay.io/acme/app:latest \
  --registry-auth - <<AUTH
- username: "${DOCKERHUB_USERNAME:-}"
  password-env: DOCKERHUB_TOKEN
- registry: quay.io
  username: "${QUAY_USERNAME:-}"
  password-env: QUAY_TOKEN
AUTH
