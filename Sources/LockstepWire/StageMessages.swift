internal import CLockstepWire
internal import CProtobufC
internal import LockstepRequests

extension StageFigures {
  func packed(_ memory: PackMemory) -> Lockstep__Wire__V1__StageStatus {
    var message = Lockstep__Wire__V1__StageStatus()
    lockstep__wire__v1__stage_status__init(&message)
    message.name = memory.string(name)
    message.peer = peer
    message.count = count
    message.total_nanoseconds = totalNanoseconds
    message.maximum_nanoseconds = maximumNanoseconds
    return message
  }

  init(_ packed: Lockstep__Wire__V1__StageStatus) {
    self.init(
      name: packed.name.map { String(cString: $0) } ?? "", peer: packed.peer, count: packed.count,
      totalNanoseconds: packed.total_nanoseconds, maximumNanoseconds: packed.maximum_nanoseconds)
  }
}

extension CounterFigure {
  func packed(_ memory: PackMemory) -> Lockstep__Wire__V1__CounterStatus {
    var message = Lockstep__Wire__V1__CounterStatus()
    lockstep__wire__v1__counter_status__init(&message)
    message.name = memory.string(name)
    message.value = value
    return message
  }

  init(_ packed: Lockstep__Wire__V1__CounterStatus) {
    self.init(name: packed.name.map { String(cString: $0) } ?? "", value: packed.value)
  }
}
