// Run after the build: an RPC or a live command without an access rule fails it, so does a rule that names no role,
// no relation, a field that is not there, or a reason or key that the request does not carry.
#include <array>
#include <cstdio>
#include <string>

#include "ovation/v1/access.pb.h"
#include "ovation/v1/auth.pb.h"
#include "ovation/v1/case.pb.h"
#include "ovation/v1/channel.pb.h"
#include "ovation/v1/gift.pb.h"
#include "ovation/v1/ledger.pb.h"
#include "ovation/v1/live.pb.h"
#include "ovation/v1/node.pb.h"
#include "ovation/v1/ops.pb.h"
#include "ovation/v1/payment.pb.h"
#include "ovation/v1/payout.pb.h"
#include "ovation/v1/recording.pb.h"
#include "ovation/v1/room.pb.h"
#include "ovation/v1/song.pb.h"

namespace {
using namespace google::protobuf;
int failures = 0;

void fail(const std::string& where, const char* what) {
    std::fprintf(stderr, "access rule: %s: %s\n", where.c_str(), what);
    ++failures;
}

void check(const std::string& where, bool present, const ovation::v1::Access& rule, const Descriptor* request, bool live) {
    if (!present) return fail(where, "has no access rule");
    if (rule.roles_size() == 0) fail(where, "names no role");
    if (rule.relation() == ovation::v1::RELATION_UNSPECIFIED) fail(where, "names no relation");
    const bool needs_subject = rule.relation() != ovation::v1::RELATION_ANY && !live;
    if (needs_subject && rule.subject().empty()) fail(where, "names no subject");
    if (!rule.subject().empty() && request->FindFieldByName(rule.subject()) == nullptr) fail(where, "its subject is not a field of the request");
    if (rule.audited() && request->FindFieldByName("reason") == nullptr) fail(where, "is audited, but its request has no reason");
    if (rule.needs_key() && request->FindFieldByName("key") == nullptr) fail(where, "needs a key, but its request has none");
}
}  // namespace

int main() {
    const std::array files{
        ovation::v1::RegisterRequest::descriptor()->file(), ovation::v1::Channel::descriptor()->file(), ovation::v1::Gift::descriptor()->file(),
        ovation::v1::Posting::descriptor()->file(), ovation::v1::TopUp::descriptor()->file(), ovation::v1::Room::descriptor()->file(),
        ovation::v1::Song::descriptor()->file(), ovation::v1::AuditRow::descriptor()->file(), ovation::v1::Recording::descriptor()->file(), ovation::v1::Payout::descriptor()->file(), ovation::v1::Case::descriptor()->file(), ovation::v1::ForwardedGift::descriptor()->file()};
    // access.proto and live.proto have no service.
    static_assert(std::size(files) + 2 == OVATION_PROTO_FILES, "a new .proto file is not looked at here");
    int rules = 0;
    for (const auto* file : files)
        for (int s = 0; s < file->service_count(); ++s)
            for (int m = 0; m < file->service(s)->method_count(); ++m) {
                const auto* method = file->service(s)->method(m);
                check(method->full_name(), method->options().HasExtension(ovation::v1::access), method->options().GetExtension(ovation::v1::access), method->input_type(), false);
                ++rules;
            }
    const auto* frame = ovation::v1::ClientFrame::descriptor();
    const auto* commands = frame->FindOneofByName("command");
    for (int i = 0; i < commands->field_count(); ++i) {
        const auto* field = commands->field(i);
        check(field->full_name(), field->options().HasExtension(ovation::v1::live_access), field->options().GetExtension(ovation::v1::live_access), field->message_type(), true);
        ++rules;
    }
    if (failures == 0) std::printf("access rules: %d, all complete\n", rules);
    return failures == 0 ? 0 : 1;
}
