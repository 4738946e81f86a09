#include "payments/bank_file.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>
#include <optional>
#include <pugixml.hpp>
#include <sstream>

#include "payments/provider.hpp"

namespace ovation::payments {
namespace {
void text(pugi::xml_node parent, const char* name, const std::string& value) { parent.append_child(name).text().set(value.c_str()); }

std::string inner(const pugi::xml_node& n, const char* path) { return n.select_node(path).node().text().get(); }
// A signed amount of a balance or a booking.
std::optional<std::int64_t> signed_minor(const pugi::xml_node& n) {
    const auto amount = minor_of(n.child("Amt").text().get());
    if (!amount) return std::nullopt;
    const std::string_view sign = n.child("CdtDbtInd").text().get();
    if (sign == "CRDT") return amount;
    if (sign == "DBIT") return -*amount;
    return std::nullopt;
}
}  // namespace

std::string pain_001(const std::string& message_id, const std::string& made_at, const std::string& day, const std::string& currency, const std::vector<bank_payment>& payments) {
    std::int64_t sum = 0;
    for (const auto& p : payments) sum += p.minor;
    pugi::xml_document doc;
    auto declaration = doc.prepend_child(pugi::node_declaration);
    declaration.append_attribute("version") = "1.0";
    declaration.append_attribute("encoding") = "UTF-8";
    auto root = doc.append_child("Document");
    root.append_attribute("xmlns") = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.03";
    auto initiation = root.append_child("CstmrCdtTrfInitn");
    auto head = initiation.append_child("GrpHdr");
    text(head, "MsgId", message_id);
    text(head, "CreDtTm", made_at);
    text(head, "NbOfTxs", std::to_string(payments.size()));
    text(head, "CtrlSum", decimal_of(sum));
    text(head.append_child("InitgPty"), "Nm", "Ovation");
    auto batch = initiation.append_child("PmtInf");
    text(batch, "PmtInfId", message_id);
    text(batch, "PmtMtd", "TRF");
    text(batch, "NbOfTxs", std::to_string(payments.size()));
    text(batch, "CtrlSum", decimal_of(sum));
    text(batch, "ReqdExctnDt", day);
    text(batch.append_child("Dbtr"), "Nm", "Ovation");
    for (const auto& p : payments) {
        auto one = batch.append_child("CdtTrfTxInf");
        text(one.append_child("PmtId"), "EndToEndId", p.reference);
        auto amount = one.append_child("Amt").append_child("InstdAmt");
        amount.append_attribute("Ccy") = currency.c_str();
        amount.text().set(decimal_of(p.minor).c_str());
        if (!p.bank.empty()) text(one.append_child("CdtrAgt").append_child("FinInstnId").append_child("Othr"), "Id", p.bank);
        text(one.append_child("Cdtr"), "Nm", p.holder);
        text(one.append_child("CdtrAcct").append_child("Id").append_child("Othr"), "Id", p.account);
        text(one.append_child("RmtInf"), "Ustrd", p.method == "bank" ? p.reference : p.method + " " + p.reference);
    }
    std::ostringstream out;
    doc.save(out, "  ");
    return out.str();
}

namespace {
// `likes`: how often a booking that looks like this one stood before it in the file.
result<bank_statement> read_statement(const pugi::xml_node& statement, std::map<std::string, int>& likes) {
    bank_statement out;
    out.account = inner(statement, "Acct/Id/IBAN");
    if (out.account.empty()) out.account = inner(statement, "Acct/Id/Othr/Id");
    out.from = inner(statement, "FrToDt/FrDtTm").substr(0, 10);
    out.to = inner(statement, "FrToDt/ToDtTm").substr(0, 10);
    bool opened = false, closed = false;
    for (const auto& balance : statement.children("Bal")) {
        const auto code = inner(balance, "Tp/CdOrPrtry/Cd");
        const auto amount = signed_minor(balance);
        if (!amount) return invalid("bank_file", fmt::format("the balance {} has no amount with CdtDbtInd.", code));
        out.currency = balance.child("Amt").attribute("Ccy").value();
        if (code == "OPBD") opened = true, out.opening_minor = *amount;
        if (code == "CLBD") closed = true, out.closing_minor = *amount;
    }
    if (!opened || !closed) return invalid("bank_file", "needs an opening (OPBD) and a closing (CLBD) balance.");
    auto running = out.opening_minor;
    for (const auto& entry : statement.children("Ntry")) {
        const auto total = signed_minor(entry);
        if (!total || std::string_view(entry.child("Amt").attribute("Ccy").value()) != out.currency) return invalid("bank_file", "a booking has no amount in the account's currency.");
        running += *total;
        const auto status = std::string(entry.child("Sts").text().get()) + inner(entry, "Sts/Cd");
        if (status != "BOOK" && !status.empty()) return invalid("bank_file", fmt::format("a booking is {}, not BOOK.", status));
        const auto day = inner(entry, "BookgDt/Dt") + inner(entry, "BookgDt/DtTm").substr(0, 10);
        std::vector<bank_booking> parts;
        std::int64_t sum = 0;
        for (const auto& detail : entry.select_nodes("NtryDtls/TxDtls")) {
            bank_booking b;
            b.reference = inner(detail.node(), "Refs/EndToEndId");
            b.day = day;
            b.text = inner(detail.node(), "RmtInf/Ustrd");
            const auto amount = minor_of(detail.node().child("Amt").text().get());
            b.minor = amount ? (*total < 0 ? -*amount : *amount) : *total;
            sum += b.minor;
            parts.push_back(std::move(b));
        }
        if (parts.empty()) {
            parts.push_back({inner(entry, "AcctSvcrRef"), day, *total, inner(entry, "AddtlNtryInf"), {}});
            sum = *total;
        }
        if (sum != *total) return invalid("bank_file", fmt::format("the parts of the booking of {} do not add up to it.", day));
        const auto number = inner(entry, "AcctSvcrRef");
        for (auto& p : parts) {
            const auto said = fmt::format("{}|{}|{}|{}|{}", number, p.day, p.minor, p.reference, p.text);
            p.booking = fmt::format("{}|{}", said, ++likes[said]);
            out.bookings.push_back(std::move(p));
        }
    }
    if (running != out.closing_minor) return invalid("bank_file", fmt::format("its bookings lead to {}, its closing balance says {} (minor units).", running, out.closing_minor));
    return out;
}
}  // namespace

result<bank_statement> read_camt_053(std::string_view xml) {
    pugi::xml_document doc;
    if (const auto read = doc.load_buffer(xml.data(), xml.size()); !read) return invalid("bank_file", fmt::format("is not well-formed XML: {} at byte {}.", read.description(), read.offset));
    const auto root = doc.child("Document");
    const auto found = root.child("BkToCstmrStmt");
    if (!found || !std::string_view(root.attribute("xmlns").value()).starts_with("urn:iso:std:iso:20022:tech:xsd:camt.053.")) return invalid("bank_file", "is not a camt.053 statement.");
    std::map<std::string, int> likes;
    std::optional<bank_statement> out;
    for (const auto& one : found.children("Stmt")) {
        OVATION_CHECK_VALUE(next, read_statement(one, likes));
        if (!out) {
            out = std::move(next);
            continue;
        }
        // A bank may give a statement for each day: then they follow each other, of one account.
        if (next.account != out->account || next.currency != out->currency) return invalid("bank_file", fmt::format("holds statements of {} and of {}.", out->account, next.account));
        if (next.opening_minor != out->closing_minor) return invalid("bank_file", fmt::format("a statement closes with {}, the next opens with {} (minor units).", out->closing_minor, next.opening_minor));
        out->closing_minor = next.closing_minor;
        out->to = std::move(next.to);
        std::ranges::move(next.bookings, std::back_inserter(out->bookings));
    }
    if (!out) return invalid("bank_file", "holds no statement.");
    return *std::move(out);
}

}  // namespace ovation::payments
