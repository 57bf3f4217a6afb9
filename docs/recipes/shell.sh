#!/bin/sh
# Plain shell, with the container: any other CI system, or a terminal. Secrets come in by a
# file or by standard input, never on the command line.
set -eu

docker buildx build --output type=oci,dest=image.tar .

docker run --rm -i -v "$PWD:/project:ro" -w /project \
  ghcr.io/multi-registry-push/multi-registry-push:1 \
  --source ./image.tar \
  --tags docker.io/acme/app:latest,quay.io/acme/app:latest \
  --registry-auth - <<AUTH
- username: ${DOCKERHUB_USERNAME:-}
  password: ${DOCKERHUB_TOKEN:-}
- registry: quay.io
  username: ${QUAY_USERNAME:-}
  password: ${QUAY_TOKEN:-}
AUTH
