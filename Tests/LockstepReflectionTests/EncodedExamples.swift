import Foundation
import Testing

/// A message as JSON and as `protoc --encode` writes it.
struct EncodedExample: Sendable, CustomTestStringConvertible {
  let type: String
  let title: String
  let json: String
  let base64: String

  var testDescription: String { title }
  var bytes: [UInt8] { bytesOfBase64(base64) }
}

func bytesOfBase64(_ text: String) -> [UInt8] {
  Array(Data(base64Encoded: text, options: .ignoreUnknownCharacters) ?? Data())
}

/// Written by protoc 3.21.12 from text format: `protoc --encode=rich.v1.TYPE rich.proto`. The JSON is the canonical
/// form.
let encodedExamples: [EncodedExample] = [
  EncodedExample(
    type: "rich.v1.Scalars", title: "every scalar type",
    json: #"""
      {"doubleValue":1.5,"floatValue":0.1,"int32Value":-2147483648,"int64Value":"-9223372036854775808",
      "uint32Value":4294967295,"uint64Value":"18446744073709551615","sint32Value":-2147483648,
      "sint64Value":"9223372036854775807","fixed32Value":4294967295,"fixed64Value":"18446744073709551615",
      "sfixed32Value":-1,"sfixed64Value":"-1","boolValue":true,"stringValue":"hé \u0000 z",
      "bytesValue":"AP8B","color":"COLOR_BELOW","far":1}
      """#,
    base64: """
      CQAAAAAAAPg/Fc3MzD0YgICAgPj/////ASCAgICAgICAgIABKP////8PMP///////////wE4/////w9A/v//////////AU3/////
      Uf//////////Xf////9h//////////9oAXIHaMOpIAAgenoDAP8BgAH5//////////8B+P///w8B
      """),
  EncodedExample(
    type: "rich.v1.Scalars", title: "negative zeros and tiny numbers",
    json: #"""
      {"doubleValue":-0,"floatValue":-0,"sint32Value":-1}
      """#,
    base64: """
      CQAAAAAAAACAFQAAAIA4AQ==
      """),
  EncodedExample(
    type: "rich.v1.Scalars", title: "the infinities",
    json: #"""
      {"doubleValue":"Infinity","floatValue":"-Infinity"}
      """#,
    base64: """
      CQAAAAAAAPB/FQAAgP8=
      """),
  EncodedExample(
    type: "rich.v1.Scalars", title: "an unknown enum number",
    json: #"""
      {"int32Value":127,"uint64Value":"128","color":99}
      """#,
    base64: """
      GH8wgAGAAWM=
      """),
  EncodedExample(
    type: "rich.v1.Scalars", title: "nothing",
    json: #"""
      {}
      """#,
    base64: ""),
  EncodedExample(
    type: "rich.v1.Lists", title: "packed and unpacked lists",
    json: #"""
      {"doubles":[1,-2.5],"floats":[0.5],"int32s":[0,-1,300],"sint64s":["-1","1"],"fixed32s":[7],
      "bools":[true,false,true],"strings":["a",""],"blobs":["","AQ=="],"colors":["COLOR_RED",
      "COLOR_BELOW","COLOR_UNSPECIFIED"],"nodes":[{"name":"x"},{}],"unpacked":[1,2]}
      """#,
    base64: """
      ChAAAAAAAADwPwAAAAAAAATAEgQAAAA/Gg0A////////////AawCIgIBAioEBwAAADIDAQABOgFhOgBCAEIBAUoMAfn/////////
      /wEAUgMKAXhSAFgBWAI=
      """),
  EncodedExample(
    type: "rich.v1.Maps", title: "maps of one entry",
    json: #"""
      {"counts":{"a":"1"},"names":{"-5":"five"},"nodes":{"true":{"name":"t"}},
      "colors":{"18446744073709551615":"COLOR_RED"},"blobs":{"-1":"/w=="}}
      """#,
    base64: """
      CgUKAWEQARIRCPv//////////wESBGZpdmUaBwgBEgMKAXQiDQj///////////8BEAEqBQgBEgH/
      """),
  EncodedExample(
    type: "rich.v1.Maps", title: "entries at their defaults",
    json: #"""
      {"counts":{"":"0"},"nodes":{"false":{}}}
      """#,
    base64: """
      CgQKABAAGgQIABIA
      """),
  EncodedExample(
    type: "rich.v1.Node", title: "a recursive message",
    json: #"""
      {"name":"a","next":{"name":"b","next":{}},"children":[{"name":"c"},{}]}
      """#,
    base64: """
      CgFhEgUKAWISABoDCgFjGgA=
      """),
  EncodedExample(
    type: "rich.v1.Choices", title: "a oneof at its default",
    json: #"""
      {"text":"","maybeNumber":0,"maybeText":""}
      """#,
    base64: """
      CgAwADoA
      """),
  EncodedExample(
    type: "rich.v1.Choices", title: "a message in a oneof",
    json: #"""
      {"inner":{},"mode":"MODE_FAST","otherName":"r","alias":"ALIAS_ONE"}
      """#,
    base64: """
      GgBAAUoBclAB
      """),
  EncodedExample(
    type: "rich.v1.Choices", title: "bytes in a oneof",
    json: #"""
      {"blob":"AQI="}
      """#,
    base64: """
      KgIBAg==
      """),
  EncodedExample(
    type: "rich.v1.Choices", title: "false in a oneof",
    json: #"""
      {"flag":false}
      """#,
    base64: """
      IAA=
      """),
  EncodedExample(
    type: "rich.v1.Known", title: "times",
    json: #"""
      {"at":"2006-01-02T15:04:05.120Z","span":"-1.500s","times":["0001-01-01T00:00:00Z",
      "9999-12-31T23:59:59.999999999Z","1970-01-01T00:00:00Z"]}
      """#,
    base64: """
      CgsI5YHlnQQQgJycORIWCP///////////wEQgLbKkf7/////AYIBCwiAkrjDmP7///8BggENCP+C0f+vBxD/k+vcA4IBAA==
      """),
  EncodedExample(
    type: "rich.v1.Known", title: "masks and wrappers",
    json: #"""
      {"mask":"user.displayName,photo","empty":{},"wrappedBool":false,"wrappedInt64":"-1",
      "wrappedString":"s","wrappedDouble":2,"wrappedBytes":"AA==","wrappedUint32":3}
      """#,
    base64: """
      GhoKEXVzZXIuZGlzcGxheV9uYW1lCgVwaG90bzoASgBSCwj///////////8BWgMKAXNiCQkAAAAAAAAAQGoDCgEAcgIIAw==
      """),
  EncodedExample(
    type: "rich.v1.Known", title: "free values",
    json: #"""
      {"record":{"a":[1,null,true]},"value":{},"list":["x",[]]}
      """#,
    base64: """
      IhwKGgoBYRIVMhMKCREAAAAAAADwPwoCCAAKAiABKgIqADIJCgMaAXgKAjIA
      """),
  EncodedExample(
    type: "rich.v1.Known", title: "null as a value",
    json: #"""
      {"value":null}
      """#,
    base64: """
      KgIIAA==
      """),
]
