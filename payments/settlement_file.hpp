// What providers say that they paid out: their settlement files, as they give them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/fault.hpp"

namespace ovation::payments {

struct settled_order {
    std::int64_t order = 0;     // ours; 0: its number is none of ours
    std::string number;         // as it stands there
    std::int64_t gross_minor = 0, fee_minor = 0;
    std::string kind;           // of a line that is no payment (a refund, a dispute): it is only named
};
// stripe: payout reconciliation, itemized, with payment_metadata[order]; wechat_pay: trade bill; alipay: business details (GB18030 or
// UTF-8); sandbox: order,amount_minor,fee_minor. Refused: a column that is missing, a line that cannot be read, by its number.
result<std::vector<settled_order>> read_settlement(std::string_view provider, std::string_view text);

}  // namespace ovation::payments
