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
std::string key_file(const std::string& path, const char* setting) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    if (!in) throw std::runtime_error(fmt::format("{}: {} cannot be read.", setting, path));
    if (!crypto::is_rsa_key(out.str())) throw std::runtime_error(fmt::format("{}: {} holds no RSA key or certificate in PEM.", setting, path));
    return out.str();
}
}  // namespace

payments::providers ways_to_pay(const config& c) {
    payments::providers out;
    if (!c.stripe_secret.empty()) out["stripe"] = std::make_unique<payments::stripe>(c.stripe_secret);
    if (!c.wechat_api_key.empty()) {
        payments::wechat_pay_options o{c.wechat_api_key, {}, c.wechat_merchant};
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
        out["alipay"] = std::make_unique<payments::alipay>(payments::alipay_options{key_file(c.alipay_public_key, "alipay_public_key"), c.alipay_app_id, c.alipay_seller_id});
    }
    return out;
}

}  // namespace ovation::server
