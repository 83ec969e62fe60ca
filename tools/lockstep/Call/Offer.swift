import LockstepExecution
import LockstepReflection

/// What a cluster offers, as one of its nodes tells it: its services, each with the types that it is made of.
struct Offer: Sendable {
  private let services: [(name: String, pool: DescriptorPool)]

  init(_ schemas: [Schema]) throws(ReflectionError) {
    // Services may bring the same file in two versions, so each keeps a pool of its own. Most come from the same set of
    // files, which is read once.
    var pools: [[UInt8]: DescriptorPool] = [:]
    var services: [(name: String, pool: DescriptorPool)] = []
    for schema in schemas.sorted(by: { $0.name < $1.name }) {
      let pool: DescriptorPool
      if let known = pools[schema.descriptorSet] {
        pool = known
      } else {
        pool = try DescriptorPool(fileDescriptorSet: schema.descriptorSet)
        pools[schema.descriptorSet] = pool
      }
      services.append((schema.name, pool))
    }
    self.services = services
  }

  var serviceNames: [String] { services.map(\.name) }

  /// The method that is named like `package.Service/Method`.
  func method(named name: String) throws(ReflectionError) -> MethodDescriptor {
    guard let slash = name.firstIndex(of: "/"), slash != name.startIndex, name[name.index(after: slash)...] != "",
      !name[name.index(after: slash)...].contains("/")
    else {
      throw ReflectionError(.symbol, "'\(name)' names no method; a method is named like 'package.Service/Method'")
    }
    guard let service = services.first(where: { $0.name == name[..<slash] }) else {
      throw unknownService(String(name[..<slash]))
    }
    return try service.pool.method(named: name)
  }

  func descriptors() throws(ReflectionError) -> [ServiceDescriptor] {
    var list: [ServiceDescriptor] = []
    for service in services { list.append(try service.pool.service(named: service.name)) }
    return list
  }

  /// All of it as .proto text.
  func text() -> String {
    var texts: [String] = []
    for service in services {
      let text = ProtoText.describe(service.pool)
      if !texts.contains(text) { texts.append(text) }
    }
    return texts.joined(separator: "\n")
  }

  /// One service, method, message or enum as .proto text.
  func text(of symbol: String) throws(ReflectionError) -> String {
    for service in services {
      if let text = try? ProtoText.describe(service.pool, symbol: symbol) { return text }
    }
    // A method's error is better than "no symbol" when the service is there.
    if symbol.contains("/") { _ = try method(named: symbol) }
    var names: [String] = []
    for service in services where service.name.hasSuffix("." + symbol) { names.append(service.name) }
    throw ReflectionError(.symbol, "no symbol '\(symbol)'; \(offered)" + hint(names.first))
  }

  private func unknownService(_ name: String) -> ReflectionError {
    // A service is often called by its last name alone, or in the wrong case.
    let near = serviceNames.first { $0.hasSuffix("." + name) || $0.lowercased() == name.lowercased() }
    return ReflectionError(.symbol, "no service '\(name)'; \(offered)" + hint(near))
  }

  private var offered: String {
    services.isEmpty ? "this cluster offers none" : "this cluster offers \(serviceNames.joined(separator: ", "))"
  }

  private func hint(_ name: String?) -> String { name.map { "; did you mean '\($0)'?" } ?? "" }
}
