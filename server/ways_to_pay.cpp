#include "server/ways_to_pay.hpp"

#include <spdlog/fmt/fmt.h>

#include <fstream>
#include <sstream>

#include "base/crypto.hpp"
#include "payments/alipay.hpp"
#include "payments/stripe.hpp"
#include "payments/wechat_pay.hpp"

namespace ovation::server {
namespace {
std::string key_file(const std::string& path, const char* setting, bool (*is_key)(std::string_view) = &crypto::is_rsa_key) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    if (!in) throw std::runtime_error(fmt::format("{}: {} cannot be read.", setting, path));
    if (!is_key(out.str())) throw std::runtime_error(fmt::format("{}: {} holds no RSA key or certificate in PEM.", setting, path));
    return out.str();
}
}  // namespace

payments::providers ways_to_pay(const config& c) {
    payments::providers out;
    const auto back = c.public_url + "/statement";
    const auto hook = [&](const char* name) { return c.public_url + "/webhooks/" + name; };
    for (const auto& [key, setting] : {std::pair(&c.stripe_key, "stripe_key"), {&c.wechat_private_key, "wechat_private_key"}, {&c.alipay_private_key, "alipay_private_key"}})
        if (!key->empty() && !c.public_url.starts_with("http")) throw std::runtime_error(fmt::format("public_url: with {} this server must know its own address, https://….", setting));
    if (!c.stripe_key.empty() && c.stripe_secret.empty()) throw std::runtime_error("stripe_secret: payments that begin at Stripe need the secret of its notifications, too.");
    if (!c.wechat_private_key.empty() && (c.wechat_api_key.empty() || c.wechat_app_id.empty() || c.wechat_serial.empty())) throw std::runtime_error("wechat_api_key, wechat_app_id, wechat_serial: payments that begin at WeChat Pay need all three.");
    if (!c.alipay_private_key.empty() && c.alipay_public_key.empty()) throw std::runtime_error("alipay_public_key: payments that begin at Alipay need its public key, too.");
    if (!c.stripe_secret.empty()) out["stripe"] = std::make_unique<payments::stripe>(c.stripe_secret, payments::stripe_api{c.stripe_key, {c.stripe_api, c.provider_ca}, back});
    if (!c.wechat_api_key.empty()) {
        payments::wechat_pay_options o{c.wechat_api_key, {}, c.wechat_merchant, c.wechat_app_id};
        if (!c.wechat_private_key.empty()) o.private_key = key_file(c.wechat_private_key, "wechat_private_key", &crypto::is_rsa_private_key);
        o.serial = c.wechat_serial;
        o.server = {c.wechat_api, c.provider_ca};
        o.notify_url = hook("wechat_pay");
        if (o.api_key.size() != 32) throw std::runtime_error("wechat_api_key: an APIv3 key has 32 bytes.");
        if (o.merchant.empty()) throw std::runtime_error("wechat_merchant: WeChat Pay needs our mchid.");
        std::istringstream list(c.wechat_keys);
        for (std::string one; std::getline(list, one, ',');) {
            const auto equals = one.find('=');
            if (equals == one.npos || equals == 0) throw std::runtime_error("wechat_keys: SERIAL=FILE, apart by commas.");
            o.keys[one.substr(0, equals)] = key_file(one.substr(equals + 1), "wechat_keys");
        }
        if (o.keys.empty()) throw std::runtime_error("wechat_keys: WeChat Pay needs at least one key of its platform, as SERIAL=FILE.");
        out["wechat_pay"] = std::make_unique<payments::wechat_pay>(std::move(o));
    }
    if (!c.alipay_public_key.empty()) {
        if (c.alipay_app_id.empty() || c.alipay_seller_id.empty()) throw std::runtime_error("alipay_app_id, alipay_seller_id: Alipay needs both.");
        payments::alipay_options o{key_file(c.alipay_public_key, "alipay_public_key"), c.alipay_app_id, c.alipay_seller_id};
        if (!c.alipay_private_key.empty()) o.private_key = key_file(c.alipay_private_key, "alipay_private_key", &crypto::is_rsa_private_key);
        o.server = {c.alipay_gateway, c.provider_ca};
        o.return_url = back;
        o.notify_url = hook("alipay");
        out["alipay"] = std::make_unique<payments::alipay>(std::move(o));
    }
    return out;
}

}  // namespace ovation::server
