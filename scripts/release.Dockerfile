# The released image, from what scripts/release-rootfs has made: nothing runs in it while
# it is built, so that one machine builds every platform.
FROM scratch
ARG TARGETARCH
COPY ${TARGETARCH}/ /
ENTRYPOINT ["/multi-registry-push"]
