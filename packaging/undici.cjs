// What the bundle has for `undici`. The package's own index would load fetch, WebSocket, mocks and caches as well, each
// time that a registry is spoken to.
const Dispatcher = require('../node_modules/undici/lib/dispatcher/dispatcher.js');

Object.assign(Dispatcher.prototype, require('../node_modules/undici/lib/api/index.js'));
exports.Agent = require('../node_modules/undici/lib/dispatcher/agent.js');
exports.buildConnector = require('../node_modules/undici/lib/core/connect.js');
exports.ProxyAgent = require('../node_modules/undici/lib/dispatcher/proxy-agent.js');
