// Thin, typed wrappers of libsodium and OpenSSL. Nothing here is invented.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ovation::crypto {

// Call once, before anything else here; throws when the library cannot start.
void start();
void random_bytes(std::span<std::uint8_t> out);
// For keys and masks, 4 096 bytes at most: from the system's generator some at a time, where a call for each would cost more than
// the rest. Not for secrets: the pool stays in memory.
void pooled_random_bytes(std::span<std::uint8_t> out);
std::string random_token();  // 32 random bytes, base64url

using sha256_digest = std::array<std::uint8_t, 32>;
sha256_digest sha256(std::string_view bytes);
sha256_digest hmac_sha256(std::string_view key, std::string_view text);
std::string sha1(std::string_view bytes);  // 20 bytes; only for the WebSocket handshake
bool equal_constant_time(std::string_view a, std::string_view b);

// Ed25519 (RFC 8032) from a seed of 32 bytes.
using ed25519_seed = std::array<std::uint8_t, 32>;
using ed25519_public = std::array<std::uint8_t, 32>;
ed25519_public ed25519_public_of(const ed25519_seed& seed);
std::string ed25519_sign(const ed25519_seed& seed, std::string_view text);  // 64 bytes
bool ed25519_verify(const ed25519_public& key, std::string_view text, std::string_view signature);

// PKCS #1 v1.5 with SHA-256; the key as PEM, a public key or a certificate. False also where the key is none.
bool rsa_sha256_verify(std::string_view pem, std::string_view text, std::string_view signature);
// Of a private key in PEM; nothing where it is none.
std::optional<std::string> rsa_sha256_sign(std::string_view pem, std::string_view text);
bool is_rsa_private_key(std::string_view pem);
bool is_rsa_key(std::string_view pem);
// Key of 32 bytes, nonce of 12; the last 16 bytes of `sealed` are the tag. Nothing: it is not what was sealed.
std::optional<std::string> aes_256_gcm_open(std::string_view key, std::string_view nonce, std::string_view associated, std::string_view sealed);

std::string to_hex(std::span<const std::uint8_t> bytes);
std::string base64(std::string_view bytes);           // padded
std::string base64_unpadded(std::string_view bytes);
std::string base64url(std::string_view bytes);        // unpadded
std::optional<std::string> from_base64url(std::string_view text);
std::optional<std::string> from_base64(std::string_view text);

// Argon2id, 2 passes, 19 MiB: about 20 ms of CPU, on a worker only.
std::string hash_password(std::string_view password);
bool verify_password(const std::string& hash, std::string_view password);

}  // namespace ovation::crypto
