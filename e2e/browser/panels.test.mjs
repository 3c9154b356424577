// What opens from pages, on an instance of its own that has something of everything.
import { after, before } from 'node:test'
import { Desk } from './desk.mjs'
import { panels } from './panels.mjs'
import { whole } from './policy.mjs'

const desk = new Desk('panels')
before(() => desk.open(), { timeout: 90_000 })
after(() => desk.close())

panels(desk)
whole(desk)
