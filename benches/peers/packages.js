'use strict'
// The packages stand in a folder that benches and tests share; `make node-modules` installs them.
const path = require('path')

module.exports = require('module').createRequire(path.join(__dirname, '../../tests/node/package.json'))
