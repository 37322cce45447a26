//! A responder as a Rust programmer would write it on the official client: the cache keeps the metadata as
//! JSON, whole and by field, so a hit is one decode, one lookup and one encode. It neither listens to events
//! nor shares loads.

mod codec;
mod document;
mod responder;

use std::env;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use mongodb::options::ClientOptions;
use tokio::signal::unix::{SignalKind, signal};

use crate::codec::Codec;
use crate::responder::{LOADS, Responder};

#[tokio::main]
async fn main() -> Result<()> {
    let entries: NonZeroUsize = setting("CACHE_ENTRIES")?.parse().context("CACHE_ENTRIES")?;
    let codec = Codec::read(&Path::new(&setting("SCHEMAS")?).join("epmmp"))?;
    let mut options = ClientOptions::parse(setting("MONGO_URI")?).await?;
    options.max_pool_size = Some(LOADS);
    let client = mongodb::Client::with_options(options)?;
    let endpoints = client.database(&setting("MONGO_DATABASE")?).collection(&setting("MONGO_COLLECTION")?);
    let connection = async_nats::ConnectOptions::new()
        .subscription_capacity(1_000_000)
        .connect(setting("NATS_URL")?)
        .await?;
    let subject = format!("kaa.v1.service.{}.epmmp.ep-metadata-get-request", setting("INSTANCE")?);
    let mut gets = connection.queue_subscribe(subject, "bench".to_owned()).await?;
    connection.flush().await?;
    println!("ready");

    let responder = Arc::new(Responder::new(connection, endpoints, codec, entries));
    let mut stop = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            message = gets.next() => match message {
                Some(message) => responder.on_get(message).await?,
                None => return Ok(()),
            },
            _ = stop.recv() => return Ok(()),
        }
    }
}

fn setting(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}
