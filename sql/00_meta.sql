-- What syncscope knows about itself in this file.
--
-- key             value
-- schemaVersion   version of the tables and triggers below; the extension upgrades older ones in one
--                 transaction and refuses newer ones, naming both versions
CREATE TABLE main._syncMeta (
  key   TEXT PRIMARY KEY NOT NULL,
  value
);
