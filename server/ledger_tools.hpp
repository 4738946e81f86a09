// `ovation ledger verify|dump|export|rebuild|seal|prove|check|close`.
#pragma once
#include <cstdint>
#include <string>

#include "base/config.hpp"

namespace ovation::server {

struct ledger_arguments {
    std::string folder, signer_file, origin = "ovation", verifier, file, format = "hledger";
    std::string month, bank_file, by, reason = "the month is over";
    std::int64_t seq = 0, from = 0;
};
// Exit codes; what cannot be done at all is thrown as a sentence.
int verify_books(const config& c, const ledger_arguments& a);
int dump_books(const config& c);
int export_books(const config& c, const ledger_arguments& a);
int rebuild_books(const config& c);
int seal_books(const config& c, const ledger_arguments& a);
int prove(const config& c, const ledger_arguments& a);
int check_proof(const ledger_arguments& a);
int close_month(const config& c, const ledger_arguments& a);
int note_restore(const config& c, const ledger_arguments& a);

}  // namespace ovation::server
