// CaseService: refunds, chargebacks, minors' claims, fraud, questions; what parties owe. The postings are made in
// migrations/0021 (payments.count_step), from the lots and spends that follow from the wallet's order (ledger.lots, ledger.spends).
#pragma once
#include "base/cores.hpp"
#include "base/metrics.hpp"
#include "base/rpc.hpp"
#include "identity/access_gate.hpp"
#include "ovation/v1/case.pb.h"
#include "payments/steps.hpp"

namespace ovation::payments {

class cases {
public:
    cases(cores& all, core& home, steps& books, metrics& registry);
    void register_with(rpc_table& table, access_gate& gate);

    awaitable<result<v1::Case>> refund_top_up(granted who, v1::RefundTopUpRequest request);
    awaitable<result<v1::ListLotsResponse>> list_lots(granted who, v1::ListLotsRequest);
    awaitable<result<v1::Case>> ask_about(granted who, v1::AskAboutEntryRequest request);
    awaitable<result<v1::ListCasesResponse>> list_mine(granted who, v1::ListMyCasesRequest);
    awaitable<result<v1::Case>> get_mine(granted who, v1::GetMyCaseRequest request);
    awaitable<result<v1::Case>> add_evidence(granted who, v1::AddEvidenceRequest request);
    awaitable<result<v1::Case>> open(granted who, v1::OpenCaseRequest request);
    awaitable<result<v1::Case>> get(granted who, v1::GetCaseRequest request);
    awaitable<result<v1::ListCasesResponse>> list(granted who, v1::ListCasesRequest request);
    awaitable<result<v1::DecideCasesResponse>> decide(granted who, v1::DecideCasesRequest request);
    awaitable<result<v1::ListReceivablesResponse>> list_receivables(granted who, v1::ListReceivablesRequest);
    awaitable<result<v1::Receivable>> write_off(granted who, v1::WriteOffRequest request);

    // At the writer, on the home core: deadlines and dispute rates, as metrics and, when they are passed, in the log.
    awaitable<result<void>> sweep();

private:
    struct opening {
        std::string key, kind, reason, reference;
        std::int64_t order = 0, entry = 0, fee_minor = 0;
        user_id user, actor;
        bool house = false;
    };
    awaitable<result<v1::Case>> open_one(opening what, bool whole);
    awaitable<result<std::vector<v1::Case>>> read(std::int64_t id, user_id user, std::string kind, int open, int limit);
    awaitable<result<v1::Case>> one(std::int64_t id, bool whole);
    // As this caller may see it: only the payer, and the house, see who the payer is.
    awaitable<result<v1::Case>> seen_by(caller who, std::int64_t id);
    awaitable<result<std::vector<v1::Receivable>>> receivables(std::string account, int* days);
    cores& all_;
    core& home_;
    steps& books_;
    gauge& open_cases_;
    gauge& overdue_;
    gauge& worst_rate_;
    gauge& refunds_open_;
    std::int64_t told_overdue_ = 0, told_rate_ = 0;
};

}  // namespace ovation::payments
