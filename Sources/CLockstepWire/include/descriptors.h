// Getters for the descriptors of the generated messages: Swift would copy a C global, and protobuf-c compares
// descriptors by their address.
#pragma once
#include "client.pb-c.h"
#include "disk.pb-c.h"
#include "entry.pb-c.h"
#include "peer.pb-c.h"

#define LOCKSTEP_DESCRIPTOR(name)                                                                                      \
  static inline const ProtobufCMessageDescriptor *lockstep__wire__v1__##name##__descriptor_pointer(void) {             \
    return &lockstep__wire__v1__##name##__descriptor;                                                                  \
  }

LOCKSTEP_DESCRIPTOR(entry)
LOCKSTEP_DESCRIPTOR(configuration)
LOCKSTEP_DESCRIPTOR(log_base)
LOCKSTEP_DESCRIPTOR(segment_header)
LOCKSTEP_DESCRIPTOR(log_batch)
LOCKSTEP_DESCRIPTOR(identity)
LOCKSTEP_DESCRIPTOR(acknowledgements)
LOCKSTEP_DESCRIPTOR(snapshot_header)
LOCKSTEP_DESCRIPTOR(snapshot_trailer)
LOCKSTEP_DESCRIPTOR(peer_hello)
LOCKSTEP_DESCRIPTOR(peer_welcome)
LOCKSTEP_DESCRIPTOR(peer_confirm)
LOCKSTEP_DESCRIPTOR(refusal)
LOCKSTEP_DESCRIPTOR(append_request)
LOCKSTEP_DESCRIPTOR(append_reply)
LOCKSTEP_DESCRIPTOR(vote_request)
LOCKSTEP_DESCRIPTOR(vote_reply)
LOCKSTEP_DESCRIPTOR(timeout_now)
LOCKSTEP_DESCRIPTOR(read_index_request)
LOCKSTEP_DESCRIPTOR(read_index_reply)
LOCKSTEP_DESCRIPTOR(forward_request)
LOCKSTEP_DESCRIPTOR(forward_reply)
LOCKSTEP_DESCRIPTOR(snapshot_read)
LOCKSTEP_DESCRIPTOR(snapshot_part)
LOCKSTEP_DESCRIPTOR(client_hello)
LOCKSTEP_DESCRIPTOR(client_welcome)
LOCKSTEP_DESCRIPTOR(call_request)
LOCKSTEP_DESCRIPTOR(call_reply)
LOCKSTEP_DESCRIPTOR(batch_request)
LOCKSTEP_DESCRIPTOR(batch_reply)
LOCKSTEP_DESCRIPTOR(describe_request)
LOCKSTEP_DESCRIPTOR(describe_reply)
LOCKSTEP_DESCRIPTOR(status_request)
LOCKSTEP_DESCRIPTOR(status_reply)
LOCKSTEP_DESCRIPTOR(snapshot_request)
LOCKSTEP_DESCRIPTOR(snapshot_reply)
LOCKSTEP_DESCRIPTOR(stream_request)
LOCKSTEP_DESCRIPTOR(stream_items)
LOCKSTEP_DESCRIPTOR(stream_credit)
LOCKSTEP_DESCRIPTOR(stream_cancel)
