/** Everything a balancer counts, in plain fields: the request path adds, whoever reports reads. Only ever grows. */
export class Counters {
  requests = 0;
  requestsWithoutRoute = 0;
  responses1xx = 0;
  responses2xx = 0;
  responses3xx = 0;
  responses4xx = 0;
  responses5xx = 0;
  /** Responses that the balancer made itself, any status of 400 and above. */
  problems = 0;
  bytesIn = 0;
  bytesOut = 0;

  attempts = 0;
  fallbacks = 0;
  retries = 0;
  retriesByClose = 0;
  retriesByStatus = 0;
  retriesRefusedByBudget = 0;
  retriesRefusedByAttempts = 0;
  replayBytesExceeded = 0;
  dials = 0;
  dialsFailed = 0;
  dialsFailedByOwnFault = 0;
  nodeDeaths = 0;
  nodeRevivals = 0;
  nodeSuspicions = 0;
  pings = 0;
  probes = 0;
  exchangesMovedOffSuspects = 0;

  clientAborts = 0;
  nodeAborts = 0;
  exchangesCut = 0;
  tunnels = 0;

  connectionsAccepted = 0;
  connectionsRefusedByLimit = 0;
  connectionsRefusedByClientLimit = 0;
  connectionsRefusedByProxyHeader = 0;
  handshakesFailed = 0;
  handshakesRefusedByLimit = 0;
  headTimeouts = 0;
  bodyTimeouts = 0;
  responseTimeouts = 0;
  exchangeTimeouts = 0;
  tunnelTimeouts = 0;
  headsTooLarge = 0;
  targetsTooLong = 0;
  bodiesTooLarge = 0;
  responseHeadsTooLarge = 0;
  requestsRefusedAtNodeLimit = 0;
  requestsRefusedAtClusterLimit = 0;
  requestsQueued = 0;
  requestsRefusedAtQueueLimit = 0;
  queueTimeouts = 0;
  nodesEjected = 0;
  ejectionsSpared = 0;
  breakersOpened = 0;
  requestsWithoutHealthyNode = 0;
  checks = 0;
  checksFailed = 0;
  loadWaitsForgotten = 0;
  discoveries = 0;
  discoveriesFailed = 0;
  discoveriesEmpty = 0;
  discoveriesOverLimit = 0;
  requestsRefusedAtTunnelLimit = 0;
  requestsRefusedByPause = 0;
  connectionsEndedByRequestLimit = 0;
  interimResponsesDropped = 0;
  accessLogLinesDropped = 0;
  adminRequests = 0;
  adminRequestsRefused = 0;
  adminConnectionsRefusedByLimit = 0;
}
