#include "payments/settlement_file.hpp"

#include <iconv.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>

#include "base/text.hpp"
#include "payments/provider.hpp"

namespace ovation::payments {
namespace {
// How a provider names its columns; what a line must be to count.
struct layout {
    std::string number, gross, fee, kind, charge;  // kind: column that must be `charge`; empty: every line counts
    bool minor = false;                            // amounts are minor units; else decimals
};
const std::map<std::string, layout, std::less<>> layouts{
    {"sandbox", {"order", "amount_minor", "fee_minor", "", "", true}},
    {"stripe", {"payment_metadata[order]", "gross", "fee", "reporting_category", "charge"}},
    {"wechat_pay", {"商户订单号", "应结订单金额", "手续费", "交易状态", "SUCCESS"}},
    {"alipay", {"商户订单号", "订单金额（元）", "服务费（元）", "业务类型", "交易"}},
};

std::string as_utf8(std::string_view text) {
    if (text::characters(text)) return std::string(text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text);
    const auto converter = iconv_open("UTF-8", "GB18030");
    std::string out(text.size() * 4, '\0'), in(text);
    char *from = in.data(), *to = out.data();
    std::size_t left = in.size(), room = out.size();
    const auto good = iconv(converter, &from, &left, &to, &room) != static_cast<std::size_t>(-1);
    iconv_close(converter);
    out.resize(good ? out.size() - room : 0);
    return out;
}
// Fields of a line; quotes are taken off, and the grave accents and tabs with which providers keep spreadsheets from changing numbers.
std::vector<std::string> fields_of(std::string_view line) {
    std::vector<std::string> out(1);
    bool quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') out.back() += line[++i];
        else if (line[i] == '"') quoted = !quoted;
        else if (line[i] == ',' && !quoted) out.emplace_back();
        else out.back() += line[i];
    }
    for (auto& f : out) {
        const auto first = f.find_first_not_of(" `\t\r");
        f = first == f.npos ? std::string() : f.substr(first, f.find_last_not_of(" \t\r") + 1 - first);
    }
    return out;
}
}  // namespace

result<std::vector<settled_order>> read_settlement(std::string_view provider, std::string_view given) {
    const auto how = layouts.find(provider);
    if (how == layouts.end()) return invalid("provider", "one of sandbox, stripe, wechat_pay, alipay.");
    const auto& columns = how->second;
    const auto text = as_utf8(given);
    std::vector<std::string> head;
    std::vector<settled_order> out;
    std::size_t number = 0, gross = 0, fee = 0, kind = 0;
    int line_number = 0;
    for (std::string_view rest = text; !rest.empty();) {
        const auto end = std::min(rest.find('\n'), rest.size());
        const auto line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        ++line_number;
        auto fields = fields_of(line);
        const auto column = [&](const std::string& name) { return static_cast<std::size_t>(std::ranges::find(head, name) - head.begin()); };
        if (head.empty()) {
            // Comments and titles stand before the heads in some.
            if (std::ranges::find(fields, columns.number) == fields.end()) continue;
            head = std::move(fields);
            number = column(columns.number), gross = column(columns.gross), fee = column(columns.fee);
            kind = columns.kind.empty() ? 0 : column(columns.kind);
            for (const auto& [at, name] : {std::pair(gross, columns.gross), {fee, columns.fee}, {kind, columns.kind}})
                if (at == head.size()) return invalid("file", fmt::format("line {}: the column {} is missing.", line_number, name));
            continue;
        }
        // Sums stand behind the lines in some.
        if (fields.size() < head.size() || line.starts_with("#")) continue;
        settled_order one;
        if (!columns.kind.empty() && fields[kind] != columns.charge) one.kind = fields[kind];
        one.number = fields[number];
        one.order = order_of(one.number);
        auto fee_text = fields[fee];
        if (fee_text.starts_with('-')) fee_text.erase(0, 1);
        const auto amount = [&](const std::string& t) { return columns.minor ? (t == "0" ? std::optional<std::int64_t>(0) : order_of(t) > 0 ? std::optional(order_of(t)) : std::nullopt) : minor_of(t); };
        const auto theirs = amount(fields[gross]), taken = amount(fee_text.empty() ? std::string("0") : fee_text);
        if (!one.kind.empty()) {
            // A refund's amount stands with a sign, or in a column of its own.
            auto out_of = fields[gross];
            const bool minus = out_of.starts_with('-');
            if (minus) out_of.erase(0, 1);
            one.gross_minor = minor_of(out_of).value_or(0) * (minus ? -1 : 1);
            one.order = 0;
            out.push_back(std::move(one));
            continue;
        }
        if (!theirs || !taken) return invalid("file", fmt::format("line {}: {} and {} must be amounts.", line_number, columns.gross, columns.fee));
        one.gross_minor = *theirs;
        one.fee_minor = *taken;
        out.push_back(std::move(one));
    }
    if (head.empty()) return invalid("file", fmt::format("no line has the column {}.", columns.number));
    return out;
}

}  // namespace ovation::payments
