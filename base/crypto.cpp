#include "base/crypto.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "base/uuid.hpp"

namespace ovation::crypto {
namespace {
const unsigned char* raw(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }

std::string encode(std::string_view bytes, int variant) {
    std::string out(sodium_base64_encoded_len(bytes.size(), variant), '\0');
    sodium_bin2base64(out.data(), out.size(), raw(bytes), bytes.size(), variant);
    out.pop_back();  // the terminating zero
    return out;
}
std::optional<std::string> decode(std::string_view text, int variant) {
    std::string out(text.size(), '\0');
    std::size_t size = 0;
    const char* end = nullptr;
    if (sodium_base642bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), text.data(), text.size(), nullptr, &size, &end, variant) != 0 ||
        end != text.data() + text.size())
        return std::nullopt;
    out.resize(size);
    return out;
}
constexpr unsigned long long argon_passes = 2;
constexpr std::size_t argon_memory = 19u * 1024 * 1024;
}  // namespace

void start() {
    if (sodium_init() < 0) throw std::runtime_error("libsodium cannot start");
}
void random_bytes(std::span<std::uint8_t> out) { randombytes_buf(out.data(), out.size()); }
void pooled_random_bytes(std::span<std::uint8_t> out) {
    thread_local std::array<std::uint8_t, 4'096> pool;
    thread_local std::size_t used = pool.size();
    if (pool.size() - used < out.size()) {
        random_bytes(pool);
        used = 0;
    }
    std::copy_n(pool.begin() + static_cast<std::ptrdiff_t>(used), out.size(), out.begin());
    used += out.size();
}
std::string random_token() {
    std::string bytes(32, '\0');
    randombytes_buf(bytes.data(), bytes.size());
    return base64url(bytes);
}
sha256_digest sha256(std::string_view bytes) {
    sha256_digest out{};
    SHA256(raw(bytes), bytes.size(), out.data());
    return out;
}
sha256_digest hmac_sha256(std::string_view key, std::string_view text) {
    sha256_digest out{};
    unsigned int size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), raw(text), text.size(), out.data(), &size);
    return out;
}
std::string sha1(std::string_view bytes) {
    std::string out(SHA_DIGEST_LENGTH, '\0');
    SHA1(raw(bytes), bytes.size(), reinterpret_cast<unsigned char*>(out.data()));
    return out;
}
bool equal_constant_time(std::string_view a, std::string_view b) {
    return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}
namespace {
template <auto Free>
struct freed {
    template <class T>
    void operator()(T* p) const { Free(p); }
};
using key_ptr = std::unique_ptr<EVP_PKEY, freed<&EVP_PKEY_free>>;

key_ptr public_key_of(std::string_view pem) {
    const std::unique_ptr<BIO, freed<&BIO_free_all>> in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    if (pem.find("BEGIN CERTIFICATE") == pem.npos) return key_ptr(PEM_read_bio_PUBKEY(in.get(), nullptr, nullptr, nullptr));
    const std::unique_ptr<X509, freed<&X509_free>> certificate(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
    return key_ptr(certificate ? X509_get_pubkey(certificate.get()) : nullptr);
}
}  // namespace
bool is_rsa_key(std::string_view pem) {
    const auto key = public_key_of(pem);
    ERR_clear_error();
    return key && EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_RSA;
}
namespace {
key_ptr private_key_of(std::string_view pem) {
    const std::unique_ptr<BIO, freed<&BIO_free_all>> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    key_ptr key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr) : nullptr);
    ERR_clear_error();
    return key && EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_RSA ? std::move(key) : key_ptr();
}
}  // namespace
bool is_rsa_private_key(std::string_view pem) { return private_key_of(pem) != nullptr; }
std::optional<std::string> rsa_sha256_sign(std::string_view pem, std::string_view text) {
    const auto key = private_key_of(pem);
    const std::unique_ptr<EVP_MD_CTX, freed<&EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    std::size_t size = 0;
    if (!key || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 || EVP_DigestSign(context.get(), nullptr, &size, raw(text), text.size()) != 1) return std::nullopt;
    std::string out(size, '\0');
    if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, raw(text), text.size()) != 1) return std::nullopt;
    out.resize(size);
    return out;
}
bool rsa_sha256_verify(std::string_view pem, std::string_view text, std::string_view signature) {
    const auto key = public_key_of(pem);
    const std::unique_ptr<EVP_MD_CTX, freed<&EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    const bool good = key && EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_RSA && EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
                      EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(text), text.size()) == 1;
    ERR_clear_error();
    return good;
}
std::optional<std::string> aes_256_gcm_open(std::string_view key, std::string_view nonce, std::string_view associated, std::string_view sealed) {
    constexpr std::size_t tag_size = 16;
    if (key.size() != 32 || nonce.size() != 12 || sealed.size() < tag_size) return std::nullopt;
    const auto text = sealed.substr(0, sealed.size() - tag_size);
    std::string tag(sealed.substr(text.size())), out(text.size(), '\0');
    const std::unique_ptr<EVP_CIPHER_CTX, freed<&EVP_CIPHER_CTX_free>> context(EVP_CIPHER_CTX_new());
    int n = 0;
    const bool good = EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, raw(key), raw(nonce)) == 1 &&
                      (associated.empty() || EVP_DecryptUpdate(context.get(), nullptr, &n, raw(associated), static_cast<int>(associated.size())) == 1) &&
                      EVP_DecryptUpdate(context.get(), reinterpret_cast<unsigned char*>(out.data()), &n, raw(text), static_cast<int>(text.size())) == 1 &&
                      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(tag_size), tag.data()) == 1 &&
                      EVP_DecryptFinal_ex(context.get(), reinterpret_cast<unsigned char*>(out.data()) + n, &n) == 1;
    ERR_clear_error();
    if (!good) return std::nullopt;
    return out;
}
namespace {
struct ed25519_pair {
    std::array<std::uint8_t, crypto_sign_PUBLICKEYBYTES> open{};
    std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> secret{};
    explicit ed25519_pair(const ed25519_seed& seed) { crypto_sign_seed_keypair(open.data(), secret.data(), seed.data()); }
};
}  // namespace
ed25519_public ed25519_public_of(const ed25519_seed& seed) { return ed25519_pair(seed).open; }
std::string ed25519_sign(const ed25519_seed& seed, std::string_view text) {
    std::string out(crypto_sign_BYTES, '\0');
    crypto_sign_detached(reinterpret_cast<unsigned char*>(out.data()), nullptr, raw(text), text.size(), ed25519_pair(seed).secret.data());
    return out;
}
bool ed25519_verify(const ed25519_public& key, std::string_view text, std::string_view signature) {
    return signature.size() == crypto_sign_BYTES && crypto_sign_verify_detached(raw(signature), raw(text), text.size(), key.data()) == 0;
}
std::string to_hex(std::span<const std::uint8_t> bytes) {
    std::string out(bytes.size() * 2 + 1, '\0');
    sodium_bin2hex(out.data(), out.size(), bytes.data(), bytes.size());
    out.pop_back();
    return out;
}
std::string base64(std::string_view bytes) { return encode(bytes, sodium_base64_VARIANT_ORIGINAL); }
std::string base64_unpadded(std::string_view bytes) { return encode(bytes, sodium_base64_VARIANT_ORIGINAL_NO_PADDING); }
std::string base64url(std::string_view bytes) { return encode(bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING); }
std::optional<std::string> from_base64url(std::string_view text) {
    while (!text.empty() && text.back() == '=') text.remove_suffix(1);
    return decode(text, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}
std::optional<std::string> from_base64(std::string_view text) { return decode(text, sodium_base64_VARIANT_ORIGINAL); }

std::string hash_password(std::string_view password) {
    std::string out(crypto_pwhash_STRBYTES, '\0');
    if (crypto_pwhash_str_alg(out.data(), password.data(), password.size(), argon_passes, argon_memory, crypto_pwhash_ALG_ARGON2ID13) != 0)
        throw std::bad_alloc();
    return out.c_str();
}
bool verify_password(const std::string& hash, std::string_view password) {
    return crypto_pwhash_str_verify(hash.c_str(), password.data(), password.size()) == 0;
}

}  // namespace ovation::crypto

namespace ovation {

std::int64_t uuid::time_ms() const {
    std::int64_t out = 0;
    for (std::size_t i = 0; i < 6; ++i) out = out << 8 | bytes[i];
    return out;
}
std::string uuid::text() const {
    const auto hex = crypto::to_hex(bytes);
    return hex.substr(0, 8) + '-' + hex.substr(8, 4) + '-' + hex.substr(12, 4) + '-' + hex.substr(16, 4) + '-' + hex.substr(20);
}
std::optional<uuid> uuid::parse(std::string_view text) {
    if (text.size() != 36) return std::nullopt;
    uuid out;
    std::size_t nibble = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-') return std::nullopt;
            continue;
        }
        const char c = text[i];
        int v = 0;
        if (c >= '0' && c <= '9') v = c - '0';
        else if (c >= 'a' && c <= 'f') v = c - 'a' + 10;
        else if (c >= 'A' && c <= 'F') v = c - 'A' + 10;
        else return std::nullopt;
        auto& byte = out.bytes[nibble / 2];
        byte = static_cast<std::uint8_t>(byte << 4 | v);
        ++nibble;
    }
    return out;
}
uuid uuid::make_v7(std::int64_t now_ms) {
    uuid out;
    crypto::pooled_random_bytes(out.bytes);
    for (std::size_t i = 0; i < 6; ++i) out.bytes[i] = static_cast<std::uint8_t>(now_ms >> (8 * (5 - i)));
    out.bytes[6] = static_cast<std::uint8_t>(0x70 | (out.bytes[6] & 0x0f));
    out.bytes[8] = static_cast<std::uint8_t>(0x80 | (out.bytes[8] & 0x3f));
    return out;
}

}  // namespace ovation
