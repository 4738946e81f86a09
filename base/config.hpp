// The configuration: one struct = TOML key = OVATION_* variable = flag. What is unknown is an error; what is secret is hidden.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "base/fault.hpp"

namespace ovation {

struct config {
    std::string address = "127.0.0.1";
    std::int64_t port = 8080;
    std::string tls_cert, tls_key;
    std::string database = "host=/var/run/postgresql dbname=ovation user=ovation_app";
    std::string owner_database;
    std::string redis;
    std::string web_root = "/usr/share/ovation/web";
    std::string media_root = "/var/lib/ovation/media";
    std::string recording_root = "/var/lib/ovation/recordings";
    std::string allowed_origins, trusted_proxies;
    std::string node_url, node_ca;
    std::string words_file;
    std::string time_zone = "Asia/Shanghai";
    std::string log_level = "info";
    std::int64_t cores = 0;
    std::int64_t connections_per_core = 4;
    std::int64_t workers = 2;
    std::int64_t vat_bp = 600;
    std::int64_t stop_within_s = 10;
    bool demo = false;
    bool load_profile = false;
    std::string sandbox_key;
    std::string seal_folder, seal_signer;
    std::int64_t seal_every_s = 3600;
    std::string public_url, provider_ca, bank_account;
    std::string stripe_secret, stripe_key, stripe_api = "https://api.stripe.com";
    std::string wechat_api_key, wechat_keys, wechat_merchant, wechat_app_id, wechat_private_key, wechat_serial, wechat_api = "https://api.mch.weixin.qq.com";
    std::string alipay_public_key, alipay_app_id, alipay_seller_id, alipay_private_key, alipay_gateway = "https://openapi.alipay.com/gateway.do";
};

struct setting {
    const char* name;   // snake_case: the TOML key; OVATION_NAME; --name with hyphens
    const char* help;   // meaning, unit, why one would change it
    bool secret;
    std::variant<std::string config::*, std::int64_t config::*, bool config::*> field;
    std::int64_t least = 0, most = INT64_MAX;  // numbers
    std::vector<std::string_view> choices{};   // texts; none: any
};
const std::vector<setting>& settings();

// Reads `text` into one setting; the fault names it and says what is wrong.
result<void> assign(config& to, const setting& which, const std::string& text);
// Defaults < file < environment. An unknown key of the file or an unknown OVATION_* variable is an error.
result<void> read_config_file(config& to, const std::string& path);
result<void> read_environment(config& to);
// One line a setting, secrets hidden.
std::string effective(const config& c);
std::string flag_of(const setting& s);
std::string variable_of(const setting& s);

}  // namespace ovation
