//! 本机测试：不需要构建好的网关。
//!
//! Tests of what the black-box tests lean on (the demo provider, the raw
//! connection) and of the repository's own promises (documents in two languages, environments,
//! tables of errors, variables and log events, the OpenAPI document, the table of faults, tests named by documents, module
//! docs).

mod documents;
mod environments;
mod faults;
mod metrics;
mod monitoring;
mod openapi;
mod promises;
mod provider;
mod scale;
mod simulation;
mod sources;
mod tables;
mod volumes;
