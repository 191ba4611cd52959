//! Hands script work to the runner in order, on a task of its own: a stuck disk must not delay a switch.

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::machine::{BackendId, ServiceId};
use crate::runner::{Finished, Job, Runner};

/// The runner, at arm's length.
#[derive(Debug)]
pub(super) struct Scripts {
    orders: mpsc::UnboundedSender<Order>,
}

#[derive(Debug)]
enum Order {
    Run(Job),
    Abort(ServiceId, BackendId),
    Forget { service: String, backend: String },
}

impl Scripts {
    /// Has `runner` work on `background`. Scripts that it refuses end as failed, at `finished`.
    pub(super) fn start(
        runner: Runner,
        finished: mpsc::UnboundedSender<Finished>,
        background: &Handle,
    ) -> Self {
        let (orders, mut inbox) = mpsc::unbounded_channel();
        background.spawn(async move {
            while let Some(order) = inbox.recv().await {
                carry_out(&runner, order, &finished);
            }
        });
        Self { orders }
    }

    pub(super) fn run(&self, job: Job) {
        self.send(Order::Run(job));
    }

    pub(super) fn abort(&self, service: ServiceId, backend: BackendId) {
        self.send(Order::Abort(service, backend));
    }

    pub(super) fn forget(&self, service: &str, backend: &str) {
        self.send(Order::Forget { service: service.to_owned(), backend: backend.to_owned() });
    }

    fn send(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::error!("start and stop scripts are out of order: restart fastswitch");
        }
    }
}

fn carry_out(runner: &Runner, order: Order, finished: &mpsc::UnboundedSender<Finished>) {
    match order {
        Order::Abort(service, backend) => runner.abort(service, backend),
        Order::Forget { service, backend } => {
            if let Err(error) = runner.forget(&service, &backend) {
                tracing::warn!(service, backend, %error, "a restart of the daemon may take it for started");
            }
        }
        Order::Run(job) => {
            let (service, backend, kind, trace) = (job.service, job.backend, job.kind, job.trace);
            if let Err(error) = runner.run(job) {
                let outcome = Err(error.to_string());
                // Nobody listens any more: the daemon is stopping.
                let _ = finished.send(Finished { service, backend, kind, trace, outcome });
            }
        }
    }
}
