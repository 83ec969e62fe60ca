/// The schemas that the tests use, and what this made of them:
/// `protoc --include_imports --descriptor_set_out=FILE rich.proto old.proto`
let richProto = #"""
  // rich.proto
  syntax = "proto3";
  package rich.v1;

  import "google/protobuf/any.proto";
  import "google/protobuf/duration.proto";
  import "google/protobuf/empty.proto";
  import "google/protobuf/field_mask.proto";
  import "google/protobuf/struct.proto";
  import "google/protobuf/timestamp.proto";
  import "google/protobuf/wrappers.proto";

  message Scalars {
    double double_value = 1;
    float float_value = 2;
    int32 int32_value = 3;
    int64 int64_value = 4;
    uint32 uint32_value = 5;
    uint64 uint64_value = 6;
    sint32 sint32_value = 7;
    sint64 sint64_value = 8;
    fixed32 fixed32_value = 9;
    fixed64 fixed64_value = 10;
    sfixed32 sfixed32_value = 11;
    sfixed64 sfixed64_value = 12;
    bool bool_value = 13;
    string string_value = 14;
    bytes bytes_value = 15;
    Color color = 16;
    int32 far = 536870911;
  }

  message Lists {
    repeated double doubles = 1;
    repeated float floats = 2;
    repeated int32 int32s = 3;
    repeated sint64 sint64s = 4;
    repeated fixed32 fixed32s = 5;
    repeated bool bools = 6;
    repeated string strings = 7;
    repeated bytes blobs = 8;
    repeated Color colors = 9;
    repeated Node nodes = 10;
    repeated int32 unpacked = 11 [packed = false];
  }

  message Maps {
    map<string, int64> counts = 1;
    map<int32, string> names = 2;
    map<bool, Node> nodes = 3;
    map<uint64, Color> colors = 4;
    map<sint64, bytes> blobs = 5;
  }

  message Node {
    string name = 1;
    Node next = 2;
    repeated Node children = 3;
  }

  message Choices {
    message Inner {
      enum Mode {
        MODE_NONE = 0;
        MODE_FAST = 1;
      }
      Mode mode = 1;
    }
    oneof choice {
      string text = 1;
      int32 number = 2;
      Inner inner = 3;
      bool flag = 4;
      bytes blob = 5;
    }
    optional int32 maybe_number = 6;
    optional string maybe_text = 7;
    Inner.Mode mode = 8;
    string renamed = 9 [json_name = "otherName"];
    Alias alias = 10;
  }

  message Known {
    google.protobuf.Timestamp at = 1;
    google.protobuf.Duration span = 2;
    google.protobuf.FieldMask mask = 3;
    google.protobuf.Struct record = 4;
    google.protobuf.Value value = 5;
    google.protobuf.ListValue list = 6;
    google.protobuf.Empty empty = 7;
    google.protobuf.Any any = 8;
    google.protobuf.BoolValue wrapped_bool = 9;
    google.protobuf.Int64Value wrapped_int64 = 10;
    google.protobuf.StringValue wrapped_string = 11;
    google.protobuf.DoubleValue wrapped_double = 12;
    google.protobuf.BytesValue wrapped_bytes = 13;
    google.protobuf.UInt32Value wrapped_uint32 = 14;
    google.protobuf.NullValue nothing = 15;
    repeated google.protobuf.Timestamp times = 16;
  }

  message GetRequest {
    string key = 1;
  }

  message GetReply {
    bool found = 1;
    string value = 2;
    uint64 revision = 3;
  }

  enum Color {
    COLOR_UNSPECIFIED = 0;
    COLOR_RED = 1;
    COLOR_BELOW = -7;
  }

  enum Alias {
    option allow_alias = true;
    ALIAS_NONE = 0;
    ALIAS_ONE = 1;
    ALIAS_UNO = 1;
  }

  service Library {
    rpc Put(Scalars) returns (GetReply);
    rpc Get(GetRequest) returns (GetReply) { option idempotency_level = NO_SIDE_EFFECTS; }
    rpc Watch(GetRequest) returns (stream GetReply) { option idempotency_level = NO_SIDE_EFFECTS; }
    rpc Replace(stream Choices.Inner) returns (google.protobuf.Empty) { option idempotency_level = IDEMPOTENT; }
  }

  service Archive {
    rpc Store(Known) returns (GetReply);
  }
  """#

let oldProto = #"""
  // old.proto
  syntax = "proto2";
  package old.v1;

  message Record {
    required string name = 1;
    optional int32 count = 2 [default = 7];
    optional string label = 3 [default = "a \"b\"\012"];
    optional bytes blob = 4 [default = "\001\""];
    repeated int32 loose = 5;
    repeated int32 packed = 6 [packed = true];
    optional Kind kind = 7 [default = KIND_TWO];
  }

  enum Kind {
    KIND_ONE = 1;
    KIND_TWO = 2;
  }
  """#
