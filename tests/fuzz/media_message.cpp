// Live frames, both ways and both encodings: what decodes, encodes and decodes again to the same; our JSON passes our own check.
#include <google/protobuf/util/json_util.h>

#include "ovation/v1/live.pb.h"
#include "server/connect.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace ovation;
namespace pb = google::protobuf;

namespace {
template <class Frame>
void try_frame(const std::string& in, bool as_json) {
    Frame frame;
    if (as_json) {
        pb::util::JsonParseOptions options;
        options.ignore_unknown_fields = true;
        if (!server::check_json(in) || !pb::util::JsonStringToMessage(in, &frame, options).ok()) return;
    } else if (!frame.ParseFromString(in)) return;

    Frame again;
    const auto written = frame.SerializeAsString();
    PROPERTY(again.ParseFromString(written));
    PROPERTY(again.SerializeAsString() == written);

    frame.DiscardUnknownFields();
    std::string json;
    PROPERTY(pb::util::MessageToJsonString(frame, &json).ok());
    PROPERTY(server::check_json(json));
    Frame from_json;
    PROPERTY(pb::util::JsonStringToMessage(json, &from_json).ok());
    PROPERTY(from_json.SerializeAsString() == frame.SerializeAsString());
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const pb::LogSilencer quiet;
    auto in = fuzz::bytes(data, size);
    const auto choice = fuzz::take(in);
    if (choice & 1) try_frame<v1::ServerFrame>(std::string(in), (choice & 2) != 0);
    else try_frame<v1::ClientFrame>(std::string(in), (choice & 2) != 0);
    return 0;
}
