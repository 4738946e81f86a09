// Notifications of providers: their own vectors, and a hundred thousand that are forged, edited, stale, future, or right.
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <random>

#include "base/crypto.hpp"
#include "payments/alipay.hpp"
#include "payments/sandbox.hpp"
#include "payments/stripe.hpp"
#include "payments/wechat_pay.hpp"
#include "tests/support/catch.hpp"

using namespace ovation;
using namespace ovation::payments;

namespace {
constexpr std::int64_t now_s = 1'700'000'000;

// An RSA key as a provider has it.
struct rsa_key {
    rsa_key() : key(EVP_RSA_gen(2048), &EVP_PKEY_free) {
        std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), &BIO_free_all);
        PEM_write_bio_PUBKEY(out.get(), key.get());
        char* text = nullptr;
        const auto size = BIO_get_mem_data(out.get(), &text);
        pem.assign(text, static_cast<std::size_t>(size));
    }
    [[nodiscard]] std::string sign(std::string_view text) const {
        std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> c(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
        std::size_t size = 0;
        const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
        EVP_DigestSignInit(c.get(), nullptr, EVP_sha256(), nullptr, key.get());
        EVP_DigestSign(c.get(), nullptr, &size, bytes, text.size());
        std::string out(size, '\0');
        EVP_DigestSign(c.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes, text.size());
        return crypto::base64(out);
    }
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key;
    std::string pem;
};
const rsa_key& platform() {
    static const rsa_key k;
    return k;
}
std::string seal_gcm(std::string_view key, std::string_view nonce, std::string_view associated, std::string_view text) {
    std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> c(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
    const auto raw = [](std::string_view t) { return reinterpret_cast<const unsigned char*>(t.data()); };
    std::string out(text.size() + 16, '\0');
    int n = 0;
    EVP_EncryptInit_ex(c.get(), EVP_aes_256_gcm(), nullptr, raw(key), raw(nonce));
    if (!associated.empty()) EVP_EncryptUpdate(c.get(), nullptr, &n, raw(associated), static_cast<int>(associated.size()));
    EVP_EncryptUpdate(c.get(), reinterpret_cast<unsigned char*>(out.data()), &n, raw(text), static_cast<int>(text.size()));
    EVP_EncryptFinal_ex(c.get(), reinterpret_cast<unsigned char*>(out.data()) + n, &n);
    EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_GCM_GET_TAG, 16, out.data() + text.size());
    return out;
}

// A delivery with its headers, to be changed by a test.
struct letter {
    std::map<std::string, std::string> headers;
    std::string body;
    [[nodiscard]] result<notification> read_by(const provider& p, std::int64_t at_s = now_s) const {
        return p.read({[this](const std::string& name) {
                           const auto at = headers.find(name);
                           return at == headers.end() ? std::string_view() : std::string_view(at->second);
                       }, body}, at_s * 1000);
    }
};
const std::string stripe_secret = "whsec_test_secret", wechat_key = "0123456789abcdef0123456789abcdef";

letter from_stripe(std::int64_t order, std::int64_t amount, std::int64_t t = now_s) {
    letter l;
    l.body = R"({"id":"evt_)" + std::to_string(order) + R"(","object":"event","type":"checkout.session.completed","data":{"object":{"payment_status":"paid","client_reference_id":")" + std::to_string(order) +
             R"(","amount_total":)" + std::to_string(amount) + R"(,"currency":"cny"}}})";
    l.headers["stripe-signature"] = "t=" + std::to_string(t) + ",v1=" + stripe::signature_of(stripe_secret, std::to_string(t), l.body);
    return l;
}
letter from_wechat(std::int64_t order, std::int64_t amount, std::int64_t t = now_s, const std::string& associated = "transaction") {
    const auto paid = R"({"mchid":"1900000001","out_trade_no":")" + std::to_string(order) + R"(","trade_state":"SUCCESS","amount":{"total":)" + std::to_string(amount) + R"(,"currency":"CNY"}})";
    letter l;
    l.body = R"({"id":"EV-)" + std::to_string(order) + R"(","event_type":"TRANSACTION.SUCCESS","resource":{"algorithm":"AEAD_AES_256_GCM","nonce":"abcdef012345","associated_data":")" + associated +
             R"(","ciphertext":")" + crypto::base64(seal_gcm(wechat_key, "abcdef012345", associated, paid)) + R"("}})";
    l.headers = {{"wechatpay-timestamp", std::to_string(t)}, {"wechatpay-nonce", "n0nce"}, {"wechatpay-serial", "S1"}};
    l.headers["wechatpay-signature"] = platform().sign(std::to_string(t) + "\nn0nce\n" + l.body + "\n");
    return l;
}
std::string encoded(const std::string& t) {
    std::string out;
    for (const char c : t) {
        if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.') out += c;
        else if (c == ' ') out += '+';
        else out += "%" + crypto::to_hex(std::array{static_cast<std::uint8_t>(c)});
    }
    return out;
}
letter from_alipay(std::int64_t order, const std::string& amount, const std::string& time = "2023-11-15 06:13:20", const std::string& status = "TRADE_SUCCESS") {
    std::map<std::string, std::string> fields{{"notify_id", "n" + std::to_string(order)}, {"notify_time", time}, {"out_trade_no", std::to_string(order)}, {"total_amount", amount}, {"trade_status", status},
                                              {"app_id", "2021"}, {"seller_id", "2088"}, {"subject", "60 金币 & more=x"}, {"body", ""}};
    std::string text;
    letter l;
    for (const auto& [k, v] : fields) {
        text += (text.empty() ? "" : "&") + k + "=" + v;
        l.body += (l.body.empty() ? "" : "&") + k + "=" + encoded(v);
    }
    l.body = "sign_type=RSA2&sign=" + encoded(platform().sign(text)) + "&" + l.body;
    return l;
}
wechat_pay make_wechat() { return wechat_pay({wechat_key, {{"S1", platform().pem}}, "1900000001"}); }
alipay make_alipay() { return alipay({platform().pem, "2021", "2088"}); }
std::string reason(const result<notification>& r) { return r ? "read" : r.error().reason == "invalid_argument" ? "invalid " + r.error().field : r.error().reason; }
}  // namespace

TEST_CASE("stripe: the vector of its scheme, several signatures, both sides of the tolerance") {
    CHECK(stripe::signature_of("whsec_test_secret", "1700000000", R"({"id":"evt_1","object":"event"})") == "0c8670ed117751cc551a20e35839447075c42800ea3cf3e8a2fbda99cd1e6edd");
    const stripe p(stripe_secret);
    auto l = from_stripe(7, 600);
    const auto n = l.read_by(p);
    REQUIRE(n);
    CHECK((n->event_id == "evt_7" && n->order == 7 && n->amount_minor == 600 && n->currency == "CNY"));
    for (const std::int64_t off : {-300, 300}) CHECK(l.read_by(p, now_s + off));
    for (const std::int64_t off : {-301, 301}) CHECK(reason(l.read_by(p, now_s + off)) == "stale_notification");
    auto two = l;
    two.headers["stripe-signature"] = "t=1700000000,v1=00,v0=11,v1=" + l.headers["stripe-signature"].substr(l.headers["stripe-signature"].find("v1=") + 3);
    CHECK(two.read_by(p));
    for (const char* header : {"", "t=1700000000", "v1=00", "t=1700000000,v0=0c86"}) {
        two.headers["stripe-signature"] = header;
        CHECK(reason(two.read_by(p)) == "bad_signature");
    }
    letter other;
    other.body = R"({"id":"evt_1","type":"customer.created"})";
    other.headers["stripe-signature"] = "t=1700000000,v1=" + stripe::signature_of(stripe_secret, "1700000000", other.body);
    CHECK(other.read_by(p)->order == 0);
}

TEST_CASE("wechat pay: signature by serial, the resource opened, with associated data and without") {
    const auto p = make_wechat();
    const auto n = from_wechat(9, 3'000).read_by(p);
    REQUIRE(n);
    CHECK((n->event_id == "EV-9" && n->order == 9 && n->amount_minor == 3'000 && n->currency == "CNY"));
    CHECK(from_wechat(9, 3'000, now_s, "").read_by(p));
    CHECK(reason(from_wechat(9, 3'000, now_s - 301).read_by(p)) == "stale_notification");
    CHECK(reason(from_wechat(9, 3'000, now_s + 301).read_by(p)) == "stale_notification");
    auto l = from_wechat(9, 3'000);
    l.headers["wechatpay-serial"] = "S2";
    CHECK(reason(l.read_by(p)) == "bad_signature");
    CHECK(reason(from_wechat(9, 3'000).read_by(wechat_pay({std::string(32, 'x'), {{"S1", platform().pem}}, "1900000001"}))) == "bad_signature");
    CHECK(reason(from_wechat(9, 3'000).read_by(wechat_pay({wechat_key, {{"S1", platform().pem}}, "other"}))) == "bad_signature");
    CHECK_FALSE(crypto::aes_256_gcm_open(wechat_key, "short", "", std::string(16, 'x')));
    CHECK_FALSE(crypto::aes_256_gcm_open(wechat_key, "abcdef012345", "", "x"));
    CHECK_FALSE(crypto::is_rsa_key("no key"));
}

TEST_CASE("alipay: sorted and decoded, amounts without floating point, the time of China") {
    const auto p = make_alipay();
    const auto n = from_alipay(11, "648.00").read_by(p);
    REQUIRE(n);
    CHECK((n->event_id == "n11" && n->order == 11 && n->amount_minor == 64'800 && n->currency == "CNY"));
    CHECK(from_alipay(11, "6").read_by(p)->amount_minor == 600);
    CHECK(from_alipay(11, "0.1").read_by(p)->amount_minor == 10);
    for (const char* amount : {"1e2", "-1.00", "1.001", "1.", ".5", "", "1,00", "9999999999999999.00"}) CHECK(reason(from_alipay(11, amount).read_by(p)) == "invalid total_amount");
    CHECK(from_alipay(11, "6.00", "2023-11-14 05:00:00").read_by(p));                                      // sent again for a day
    CHECK(reason(from_alipay(11, "6.00", "2023-11-14 04:00:00").read_by(p)) == "stale_notification");
    CHECK(reason(from_alipay(11, "6.00", "2023-11-15 06:18:21").read_by(p)) == "stale_notification");    // from the future
    for (const char* time : {"", "2023-13-01 00:00:00", "yesterday", "2023-11-15 06:13:20x"}) CHECK(reason(from_alipay(11, "6.00", time).read_by(p)) == "stale_notification");
    CHECK(from_alipay(11, "6.00", "2023-11-15 06:13:20", "WAIT_BUYER_PAY").read_by(p)->order == 0);
    auto l = from_alipay(11, "6.00");
    l.body += "&total_amount=6.00";  // twice
    CHECK(reason(l.read_by(p)) == "bad_signature");
    l.body = "sign_type=RSA&sign=x";
    CHECK(reason(l.read_by(p)) == "bad_signature");
    CHECK(reason(from_alipay(11, "6.00").read_by(alipay({platform().pem, "2022", "2088"}))) == "bad_signature");
    CHECK(reason(from_alipay(11, "6.00").read_by(alipay({platform().pem, "2021", "2089"}))) == "bad_signature");
    CHECK(p.thanks() == "success");
}

TEST_CASE("providers: of a hundred thousand deliveries only those are read that the provider sent, unchanged and in time") {
    const auto seed = std::random_device()();
    INFO("seed " << seed);
    std::mt19937 dice(seed);
    const stripe by_stripe(stripe_secret);
    const auto by_wechat = make_wechat();
    const auto by_alipay = make_alipay();
    const sandbox::way_to_pay by_sandbox("sandbox key");
    // RSA signatures are dear; each is used for many deliveries.
    std::vector<std::pair<const provider*, letter>> sent;
    for (int i = 1; i <= 100; ++i) {
        sent.emplace_back(&by_stripe, from_stripe(i, i * 100));
        sent.emplace_back(&by_wechat, from_wechat(i, i * 100));
        sent.emplace_back(&by_alipay, from_alipay(i, std::to_string(i) + ".00"));
        letter l;
        l.body = sandbox::body_of({"e" + std::to_string(i), i, i * 100, "CNY"});
        l.headers = {{"webhook-id", "e" + std::to_string(i)}, {"webhook-timestamp", std::to_string(now_s)}};
        l.headers["webhook-signature"] = sandbox::sign("sandbox key", l.headers["webhook-id"], l.headers["webhook-timestamp"], l.body);
        sent.emplace_back(&by_sandbox, l);
    }
    std::int64_t wrong = 0, good = 0, refused = 0;
    for (int i = 0; i < 100'000; ++i) {
        const auto& [p, original] = sent[dice() % sent.size()];
        auto l = original;
        auto at = now_s;
        bool right = false;
        switch (dice() % 5) {
            case 0: right = true; break;
            case 1: at += (dice() % 2 == 0 ? 1 : -1) * (100'000 + static_cast<std::int64_t>(dice() % 1'000'000)); break;
            case 2: l.body[dice() % l.body.size()] ^= static_cast<char>(1 + dice() % 127); break;
            case 3: {
                auto header = std::next(l.headers.begin(), static_cast<std::ptrdiff_t>(l.headers.empty() ? 0 : dice() % l.headers.size()));
                if (header == l.headers.end()) l.body.erase(dice() % l.body.size(), 1);
                else if (auto& text = header->second; !text.empty()) text[dice() % text.size()] = static_cast<char>(text[static_cast<std::size_t>(i) % text.size()] ^ 1);
                break;
            }
            default: l.body.insert(dice() % (l.body.size() + 1), 1, static_cast<char>('0' + dice() % 10)); break;
        }
        const auto read = l.read_by(*p, at);
        if (right ? !read : read && l.body != original.body && read->order != original.read_by(*p)->order) ++wrong;
        // A form may be written in more than one way (%2f, %2F) and still be what was signed; what it says is then the same.
        if (!right && read && (read->amount_minor != original.read_by(*p)->amount_minor || read->event_id != original.read_by(*p)->event_id)) ++wrong;
        ++(read ? good : refused);
    }
    CHECK(wrong == 0);
    CHECK(good > 15'000);
    CHECK(refused > 70'000);
}
