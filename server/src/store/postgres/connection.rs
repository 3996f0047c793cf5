//! A connection to the database.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client};

use super::place::Place;
use super::schema::SESSION;
use super::trouble::{CONNECTING, Trouble};

/// An open session, and the notifications that come in it; they end with the session.
pub(super) struct Session {
    pub(super) client: Arc<Client>,
    pub(super) news: mpsc::UnboundedReceiver<()>,
}

/// Opens a session.
pub(super) async fn connect(place: &Place) -> Result<Session, Trouble> {
    let connecting = place.config.connect(place.tls.clone());
    let (client, mut connection) = timeout(CONNECTING, connecting).await.map_err(|_| Trouble::silent())??;
    let (sender, news) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if matches!(message, AsyncMessage::Notification(_)) {
                // Nothing may listen; the session goes on.
                let _ = sender.send(());
            }
        }
    });
    client.batch_execute(SESSION).await?;
    Ok(Session { client: Arc::new(client), news })
}
