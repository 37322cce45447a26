//! Hits at once, misses in tasks.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use async_nats::{Client, Message};
use lru::LruCache;
use mongodb::Collection;
use mongodb::bson::doc;
use tokio::sync::Semaphore;

use crate::codec::{Codec, GetRequest, GetResponse};
use crate::document::{Document, Endpoint};

/// Finds under way at once.
pub const LOADS: u32 = 64;

/// All that answers a get.
pub struct Responder {
    connection: Client,
    endpoints: Collection<Document>,
    codec: Codec,
    cache: Mutex<LruCache<String, Arc<Endpoint>>>,
    loads: Semaphore,
}

impl Responder {
    /// With an empty cache.
    pub fn new(
        connection: Client,
        endpoints: Collection<Document>,
        codec: Codec,
        entries: NonZeroUsize,
    ) -> Self {
        let cache = Mutex::new(LruCache::new(entries));
        Self { connection, endpoints, codec, cache, loads: Semaphore::new(LOADS as usize) }
    }

    /// Answers a get from the cache, or starts its load.
    pub async fn on_get(self: &Arc<Self>, message: Message) -> Result<()> {
        let request = self.codec.decode(&message.payload)?;
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&request.endpoint_id).cloned();
        if let Some(endpoint) = cached {
            return self.answer(&message, &request, Ok(&endpoint)).await;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = this.load(&message, &request).await {
                eprintln!("answer: {error}");
            }
        });
        Ok(())
    }

    async fn load(&self, message: &Message, request: &GetRequest) -> Result<()> {
        let _permit = self.loads.acquire().await?;
        let found = match self.endpoints.find_one(doc! { "_id": &request.endpoint_id }).await {
            Ok(Some(document)) => Ok(Arc::new(Endpoint::from(document))),
            Ok(None) => Err((404, "Endpoint not found")),
            Err(_) => Err((503, "Endpoint store is unavailable")),
        };
        if let Ok(endpoint) = &found {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.put(request.endpoint_id.clone(), Arc::clone(endpoint));
        }
        self.answer(message, request, found.as_deref().map_err(|failure| *failure)).await
    }

    async fn answer(
        &self,
        message: &Message,
        request: &GetRequest,
        found: Result<&Endpoint, (i32, &str)>,
    ) -> Result<()> {
        let Some(reply) = message.reply.clone() else { return Ok(()) };
        let projected = match found {
            Ok(endpoint) if !request.include.is_empty() => Some(endpoint.project(&request.include)),
            _ => None,
        };
        let entry = found.ok();
        let payload = projected.as_deref().or(entry.map(|endpoint| endpoint.whole.as_str()));
        let response = GetResponse {
            correlation_id: &request.correlation_id,
            timestamp: SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64,
            timeout: 0,
            endpoint_id: &request.endpoint_id,
            e_tag: entry.map(|endpoint| endpoint.e_tag.as_str()),
            payload: payload.map(str::as_bytes),
            status_code: found.err().map_or(200, |(status, _)| status),
            reason_phrase: found.err().map(|(_, reason)| reason),
            app_version_name: entry.map(|endpoint| endpoint.app_version.as_str()),
        };
        self.connection.publish(reply, self.codec.encode(&response)?.into()).await?;
        Ok(())
    }
}
