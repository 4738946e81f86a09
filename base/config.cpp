#include "base/config.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <stdexcept>
// On some malformed files toml++ would end the program.
#define TOML_ASSERT(expr) ((expr) ? void() : throw std::logic_error("is not TOML."))
#include <toml++/toml.h>

extern char** environ;

namespace ovation {

const std::vector<setting>& settings() {
    static const std::vector<setting> all{
        {"address", "IP address to listen on; 0.0.0.0 for all.", false, &config::address},
        {"port", "TCP port to listen on; 0 takes a free one and prints it.", false, &config::port, 0, 65535},
        {"tls_cert", "PEM file with the certificate chain; empty: plain HTTP. Browsers give no microphone without TLS, except on localhost.", false, &config::tls_cert},
        {"tls_key", "PEM file with the certificate's key.", false, &config::tls_key},
        {"database", "libpq connection string of the application's role, which can neither change nor delete what is posted.", true, &config::database},
        {"owner_database", "libpq connection string of the role that owns the schema; only `migrate` uses it. Empty: the same as database.", true, &config::owner_database},
        {"redis", "unix:/path/redis.sock or host:port of a Redis for the boards of longer periods; empty: none, PostgreSQL answers them all.", false, &config::redis},
        {"web_root", "Folder of the built pages; a missing one means: no pages.", false, &config::web_root},
        {"recording_root", "Folder of what singers keep: their voices, and the mixes that are shared.", false, &config::recording_root},
        {"media_root", "Folder of the backing tracks; `songs import` writes it.", false, &config::media_root},
        {"allowed_origins", "Origins (https://example.org), apart by commas, whose pages may call besides our own.", false, &config::allowed_origins},
        {"trusted_proxies", "IP addresses, apart by commas, whose X-Forwarded-For is believed.", false, &config::trusted_proxies},
        {"node_url", "Address by which the other servers of this installation reach this one, http(s)://host:port; empty: what comes here while another server writes the books is refused.", false, &config::node_url},
        {"node_ca", "PEM file of the authorities that other servers' certificates are checked by; empty: the system's.", false, &config::node_ca},
        {"words_file", "Text file with one refused chat word a line; empty: none.", false, &config::words_file},
        {"time_zone", "IANA zone of the days of boards, limits and contracts. Changing it later moves no booked day.", false, &config::time_zone},
        {"log_level", "debug, info, warn or error.", false, &config::log_level, 0, 0, {"debug", "info", "warn", "error"}},
        {"cores", "Event loops; 0: one for each processor.", false, &config::cores, 0, 256},
        {"connections_per_core", "Database connections of each event loop.", false, &config::connections_per_core, 1, 64},
        {"workers", "Threads for passwords and other CPU work.", false, &config::workers, 1, 64},
        {"vat_bp", "VAT inside the price, in basis points. Holds for new routes only.", false, &config::vat_bp, 0, 5000},
        {"stop_within_s", "Seconds that a shutdown may take before it ends hard.", false, &config::stop_within_s, 1, 300},
        {"demo", "Lets the sandbox provider and the demo accounts exist. Never on a real installation.", false, &config::demo},
        {"load_profile", "Rate limits a thousand times as wide, for load tests only.", false, &config::load_profile},
        {"sandbox_key", "Key that signs the sandbox provider's notifications; empty: made at start.", true, &config::sandbox_key},
        {"seal_folder", "Folder outside the database for signed checkpoints of the books, served at /seals/; empty: not sealed by itself.", false, &config::seal_folder},
        {"seal_signer", "File with the signer's key of the checkpoints.", false, &config::seal_signer},
        {"seal_every_s", "Seconds between two checkpoints.", false, &config::seal_every_s, 1, 86'400},
        {"public_url", "Address by which people and providers reach this server, https://…; needed where payments begin at a provider.", false, &config::public_url},
        {"provider_ca", "PEM file of the authorities that the providers' servers are checked by; empty: the system's.", false, &config::provider_ca},
        {"bank_account", "Account that bank transfers go to, as payers are to read it; empty: no bank transfers.", false, &config::bank_account},
        {"stripe_secret", "Secret of the Stripe endpoint /webhooks/stripe, `whsec_` included; empty: no Stripe.", true, &config::stripe_secret},
        {"stripe_key", "Secret key of the Stripe API, sk_…; empty: payments begin elsewhere, with our order's number.", true, &config::stripe_key},
        {"stripe_api", "Address of the Stripe API.", false, &config::stripe_api},
        {"wechat_api_key", "APIv3 key of WeChat Pay, 32 bytes, for /webhooks/wechat_pay; empty: no WeChat Pay.", true, &config::wechat_api_key},
        {"wechat_keys", "Files with the keys or certificates of the WeChat Pay platform: SERIAL=FILE, apart by commas.", false, &config::wechat_keys},
        {"wechat_merchant", "Our mchid at WeChat Pay.", false, &config::wechat_merchant},
        {"wechat_app_id", "Our appid at WeChat Pay.", false, &config::wechat_app_id},
        {"wechat_private_key", "File with our private key at WeChat Pay (PEM); empty: payments begin elsewhere.", false, &config::wechat_private_key},
        {"wechat_serial", "Serial number of that key's certificate.", false, &config::wechat_serial},
        {"wechat_api", "Address of the WeChat Pay API.", false, &config::wechat_api},
        {"alipay_public_key", "File with Alipay's public key (PEM), for /webhooks/alipay; empty: no Alipay.", false, &config::alipay_public_key},
        {"alipay_app_id", "Our app_id at Alipay.", false, &config::alipay_app_id},
        {"alipay_seller_id", "Our seller_id at Alipay.", false, &config::alipay_seller_id},
        {"alipay_private_key", "File with our private key at Alipay (PEM); empty: payments begin elsewhere.", false, &config::alipay_private_key},
        {"alipay_gateway", "Address of Alipay's gateway.", false, &config::alipay_gateway},
    };
    return all;
}

std::string flag_of(const setting& s) {
    std::string out = "--";
    for (const char* c = s.name; *c; ++c) out += *c == '_' ? '-' : *c;
    return out;
}
std::string variable_of(const setting& s) {
    std::string out = "OVATION_";
    for (const char* c = s.name; *c; ++c) out += *c >= 'a' && *c <= 'z' ? static_cast<char>(*c - 'a' + 'A') : *c;
    return out;
}

result<void> assign(config& to, const setting& which, const std::string& text) {
    if (const auto* field = std::get_if<std::string config::*>(&which.field)) {
        if (const auto& all = which.choices; !all.empty() && std::ranges::find(all, text) == all.end())
            return invalid(which.name, fmt::format("\"{}\" is none of {} or {}.", text, fmt::join(all.begin(), all.end() - 1, ", "), all.back()));
        to.**field = text;
    } else if (const auto* number = std::get_if<std::int64_t config::*>(&which.field)) {
        std::int64_t v = 0;
        const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), v);
        if (bad != std::errc{} || end != text.data() + text.size() || v < which.least || v > which.most)
            return invalid(which.name, fmt::format("\"{}\" is not a whole number from {} to {}.", text, which.least, which.most));
        to.**number = v;
    } else {
        if (text != "true" && text != "false" && text != "1" && text != "0") return invalid(which.name, fmt::format("\"{}\" is neither true nor false.", text));
        to.*std::get<bool config::*>(which.field) = text == "true" || text == "1";
    }
    return result<void>{};
}

result<void> read_config_file(config& to, const std::string& path) {
    std::error_code failed;
    if (!std::filesystem::is_regular_file(path, failed) || !std::ifstream(path))
        return invalid("config", fmt::format("{} cannot be read; name a TOML file that is there and that this user may read.", path));
    toml::table table;
    try {
        table = toml::parse_file(path);
    } catch (const toml::parse_error& e) {
        return invalid("config", fmt::format("{}: line {}: {}", path, e.source().begin.line, std::string(e.description())));
    } catch (const std::logic_error& e) {
        return invalid("config", fmt::format("{} {}", path, e.what()));
    }
    for (const auto& [key, value] : table) {
        const setting* found = nullptr;
        for (const auto& s : settings())
            if (key.str() == s.name) found = &s;
        if (!found) return invalid(std::string(key.str()), fmt::format("{}: there is no such setting; `ovation serve --help` lists them.", path));
        std::string text;
        if (const auto* s = value.as_string()) text = s->get();
        else if (const auto* i = value.as_integer()) text = std::to_string(i->get());
        else if (const auto* b = value.as_boolean()) text = b->get() ? "true" : "false";
        else return invalid(std::string(key.str()), "must be a text, a whole number, true or false.");
        OVATION_CHECK(assign(to, *found, text));
    }
    return result<void>{};
}

result<void> read_environment(config& to) {
    for (char** entry = environ; *entry; ++entry) {
        const std::string_view whole = *entry;
        if (!whole.starts_with("OVATION_")) continue;
        const auto equals = whole.find('=');
        const setting* found = nullptr;
        for (const auto& s : settings())
            if (whole.substr(0, equals) == variable_of(s)) found = &s;
        if (!found) return invalid(std::string(whole.substr(0, equals)), "there is no such setting; `ovation serve --help` lists them.");
        OVATION_CHECK(assign(to, *found, std::string(whole.substr(equals + 1))));
    }
    return result<void>{};
}

std::string effective(const config& c) {
    std::string out;
    for (const auto& s : settings()) {
        std::string value;
        if (const auto* field = std::get_if<std::string config::*>(&s.field)) value = boost::json::serialize(boost::json::string(c.**field));
        else if (const auto* number = std::get_if<std::int64_t config::*>(&s.field)) value = std::to_string(c.**number);
        else value = c.*std::get<bool config::*>(s.field) ? "true" : "false";
        if (s.secret && value != "\"\"") value = "\"***\"";
        out += fmt::format("{} = {}\n", s.name, value);
    }
    return out;
}

}  // namespace ovation
