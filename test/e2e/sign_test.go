package e2e

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/dsse"

	"github.com/multi-registry-push/multi-registry-push/test/images"
)

// keys signs as cosign does with a key pair, offline, and verifies with sigstore's library.
type keys struct {
	signer   signature.Signer
	verifier signature.Verifier
}

const inToto = "application/vnd.in-toto+json"

func newKeys(t *testing.T) keys {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.LoadECDSASignerVerifier(key, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return keys{signer: signer, verifier: signer}
}

// cosign's media types and annotation (cosign, specs/SIGNATURE_SPEC.md).
const (
	simpleSigning  = "application/vnd.dev.cosign.simplesigning.v1+json"
	signedBy       = "dev.cosignproject.cosign/signature"
	dsseEnvelope   = "application/vnd.dsse.envelope.v1+json"
	signatureType  = "application/vnd.dev.cosign.artifact.sig.v1+json"
	sigstoreBundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
	spdx           = "application/spdx+json"
)

// signature is a layer in cosign's simple signing format.
func (k keys) signature(t *testing.T, of v1.Descriptor) images.Layer {
	t.Helper()
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"registry.example.com/acme/app"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, of.Digest)
	sig, err := k.signer.SignMessage(bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	return images.Layer{MediaType: simpleSigning, Content: payload, Annotations: map[string]string{signedBy: base64.StdEncoding.EncodeToString(sig)}}
}

// attestation is a signed in-toto statement about a manifest, as a DSSE envelope.
func (k keys) attestation(t *testing.T, of v1.Descriptor) []byte {
	t.Helper()
	statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":{"sha256":%q}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}`, of.Digest.Hex)
	envelope, err := dsse.WrapSigner(k.signer, inToto).SignMessage(bytes.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

// bundle is an attestation in sigstore's bundle, what cosign 3 attaches as an OCI 1.1 referrer.
func (k keys) bundle(t *testing.T, of v1.Descriptor) images.Layer {
	t.Helper()
	raw, err := json.Marshal(map[string]any{
		"mediaType":            sigstoreBundle,
		"verificationMaterial": map[string]any{"publicKey": map[string]string{"hint": "test"}},
		"dsseEnvelope":         json.RawMessage(k.attestation(t, of)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return images.Layer{MediaType: sigstoreBundle, Content: raw}
}

// verify checks every signature in an artifact, and that it is one of the manifest.
func (k keys) verify(t *testing.T, artifact *images.Image, of v1.Descriptor) {
	t.Helper()
	var m v1.Manifest
	if err := json.Unmarshal(artifact.Manifests[len(artifact.Manifests)-1].Bytes, &m); err != nil {
		t.Fatal(err)
	}
	blobs := map[v1.Hash][]byte{}
	for _, b := range artifact.Blobs {
		blobs[b.Descriptor.Digest] = b.Bytes
	}
	for _, l := range m.Layers {
		content := blobs[l.Digest]
		var err error
		switch l.MediaType {
		case simpleSigning:
			var sig []byte
			if sig, err = base64.StdEncoding.DecodeString(l.Annotations[signedBy]); err == nil {
				err = k.verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(content))
			}
		case dsseEnvelope:
			err = dsse.WrapVerifier(k.verifier).VerifySignature(bytes.NewReader(content), nil)
		case sigstoreBundle:
			var b struct{ DSSEEnvelope json.RawMessage }
			if err = json.Unmarshal(content, &b); err == nil {
				err = dsse.WrapVerifier(k.verifier).VerifySignature(bytes.NewReader(b.DSSEEnvelope), nil)
				content = b.DSSEEnvelope
			}
		default:
			t.Errorf("no signature: %s", l.MediaType)
			continue
		}
		if err != nil {
			t.Errorf("%s of %s does not verify: %v", l.MediaType, of.Digest, err)
		}
		if !names(content, of.Digest) {
			t.Errorf("%s is not about %s", l.MediaType, of.Digest)
		}
	}
	if len(m.Layers) == 0 {
		t.Error("an artifact without a signature")
	}
}

// signed reports whether one of the simple signatures in an artifact is of this key and of the
// manifest.
func (k keys) signed(t *testing.T, artifact *images.Image, of v1.Descriptor) bool {
	t.Helper()
	var m v1.Manifest
	if err := json.Unmarshal(artifact.Manifests[len(artifact.Manifests)-1].Bytes, &m); err != nil {
		t.Fatal(err)
	}
	for _, l := range m.Layers {
		for _, b := range artifact.Blobs {
			sig, err := base64.StdEncoding.DecodeString(l.Annotations[signedBy])
			if err == nil && b.Descriptor.Digest == l.Digest && names(b.Bytes, of.Digest) &&
				k.verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(b.Bytes)) == nil {
				return true
			}
		}
	}
	return false
}

// names reports whether what was signed names the digest; of an envelope, its payload.
func names(content []byte, digest v1.Hash) bool {
	var envelope struct{ Payload []byte }
	if err := json.Unmarshal(content, &envelope); err == nil && len(envelope.Payload) > 0 {
		content = envelope.Payload
	}
	return bytes.Contains(content, []byte(digest.Hex))
}
