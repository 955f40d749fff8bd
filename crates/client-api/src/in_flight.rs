//! What devices are sending: a device hears that its event was taken before its sync tells it of the event.
//!
//! Clients match the two by the answer; matrix-js-sdk takes a message in a thread for lost when the sync is first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::Event;
use freehold_store::DeviceNumber;
use tokio::time::{sleep, timeout};

/// For how long a sync waits for what its device is sending: a device that never stops sending must not starve its sync.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// How long an answer takes on its way out of the process.
const WAY_OUT: Duration = Duration::from_millis(2);

/// The devices that are sending. A clone is another handle on the same.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    sending: Mutex<BTreeMap<DeviceNumber, usize>>,
    done: Event,
}

/// A request with which a device sends something; it is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Sending {
    device: Option<DeviceNumber>,
    in_flight: InFlight,
}

impl InFlight {
    /// A device begins to send something.
    pub(crate) fn begin(&self, device: Option<DeviceNumber>) -> Sending {
        if let Some(device) = device {
            *self.lock().entry(device).or_default() += 1;
        }
        Sending { device, in_flight: self.clone() }
    }

    /// Waits until what a device is sending was answered, but not for long.
    pub(crate) async fn settled(&self, device: Option<DeviceNumber>) {
        let Some(device) = device.filter(|device| self.is_sending(*device)) else { return };
        // Whether it settled or took too long, the sync goes on.
        let _ = timeout(WAIT_MAX, self.wait_for(device)).await;
        sleep(WAY_OUT).await;
    }

    async fn wait_for(&self, device: DeviceNumber) {
        loop {
            let done = self.0.done.listen();
            if !self.is_sending(device) {
                return;
            }
            done.await;
        }
    }

    fn is_sending(&self, device: DeviceNumber) -> bool {
        self.lock().contains_key(&device)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeviceNumber, usize>> {
        self.0.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let Some(device) = self.device else { return };
        let mut sending = self.in_flight.lock();
        if let Some(count) = sending.get_mut(&device) {
            *count -= 1;
            if *count == 0 {
                sending.remove(&device);
            }
        }
        drop(sending);
        self.in_flight.0.done.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: Option<DeviceNumber> = Some(DeviceNumber(1));

    #[tokio::test(start_paused = true)]
    async fn a_sync_waits_for_what_its_own_device_is_sending() {
        let in_flight = InFlight::default();
        let sending = in_flight.begin(DEVICE);
        let waiting = tokio::spawn({
            let in_flight = in_flight.clone();
            async move { in_flight.settled(DEVICE).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        in_flight.settled(Some(DeviceNumber(2))).await;
        in_flight.settled(None).await;
        drop(sending);
        waiting.await.unwrap();
        assert!(in_flight.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_never_stops_sending_does_not_starve_its_sync() {
        let in_flight = InFlight::default();
        let _sending = in_flight.begin(DEVICE);
        let before = tokio::time::Instant::now();
        in_flight.settled(DEVICE).await;
        assert_eq!(before.elapsed(), WAIT_MAX + WAY_OUT);
    }
}
