# The action's image. Syntax that BuildKit, Docker's classic builder and Buildah all
# know: whoever runs the action may have any of them, and the runner passes no arguments.
# Dependabot reads no ARG: it moves the first image of .github/images/Dockerfile, and a test
# holds that this is the same. Where no image can be pulled, .ci/base-image makes another.
ARG BASE=golang:1.26-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d
FROM ${BASE} AS build
WORKDIR /src
COPY . .
# Left empty, version and commit are what git archive wrote into version.txt.
ARG VERSION=
ARG COMMIT=
RUN CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" \
      -o /image/multi-registry-push . \
 && mkdir -p /image/etc/ssl/certs \
 && mkdir -m 1777 /image/tmp \
 && cp -L /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/

FROM scratch
COPY --from=build /image/ /
ENTRYPOINT ["/multi-registry-push"]
