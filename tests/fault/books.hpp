// The journal as it stands in PostgreSQL, read by the test itself, against what the clients were told.
#pragma once
#include <libpq-fe.h>

#include <charconv>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tests/fault/crowd.hpp"

namespace ovation::fault_test {

class books {
public:
    std::int64_t doubled = 0, below_zero = 0, backwards = 0;

    // What came since the last time. One row for each posting on a wallet, in their order.
    void read(const std::string& database) {
        const std::unique_ptr<PGconn, void (*)(PGconn*)> c(PQconnectdb(database.c_str()), &PQfinish);
        const auto sql = "select g.seq, g.key::text, w.wallet_account, -(g.price - g.bonus - g.gift_only), g.price / 10000 from ledger.gift g join ledger.wallet w on w.user_id = g.payer where g.seq > " + std::to_string(last_) +
                         " union all select e.seq, e.key, l.account, l.amount, abs(l.amount) / 10000 from ledger.entry e cross join lateral unnest(e.accounts, e.amounts) as l (account, amount)"
                         " join ledger.wallet w on w.wallet_account = l.account where e.seq > " + std::to_string(last_) + " order by 1";
        const std::unique_ptr<PGresult, void (*)(PGresult*)> r(PQexec(c.get(), sql.c_str()), &PQclear);
        if (PQresultStatus(r.get()) != PGRES_TUPLES_OK) throw std::runtime_error(std::string("the journal cannot be read: ") + PQerrorMessage(c.get()));
        for (int i = 0; i < PQntuples(r.get()); ++i) {
            const auto seq = number(r.get(), i, 0);
            backwards += seq <= last_;
            last_ = seq;
            doubled += !rows_.emplace(PQgetvalue(r.get(), i, 1), row{seq, number(r.get(), i, 4)}).second;
            auto& balance = balances_[number(r.get(), i, 2)];
            balance += number(r.get(), i, 3);
            below_zero += balance < 0;
        }
    }
    [[nodiscard]] bool has(const acknowledged& a) const {
        const auto at = rows_.find(a.key);
        return at != rows_.end() && at->second.seq == a.seq && at->second.coins == a.coins;
    }
    [[nodiscard]] bool knows(const std::string& key) const { return rows_.contains(key); }
    [[nodiscard]] std::size_t size() const { return rows_.size(); }

private:
    struct row {
        std::int64_t seq, coins;
    };
    static std::int64_t number(PGresult* r, int i, int column) {
        const std::string_view text = PQgetvalue(r, i, column);
        std::int64_t out = 0;
        std::from_chars(text.data(), text.data() + text.size(), out);
        return out;
    }
    std::unordered_map<std::string, row> rows_;
    std::unordered_map<std::int64_t, std::int64_t> balances_;
    std::int64_t last_ = 0;
};

}  // namespace ovation::fault_test
